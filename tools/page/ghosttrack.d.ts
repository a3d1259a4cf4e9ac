// What the page's scripts share: the one global name, and the data that its files deliver.

/** What `dom.el` takes between a tag's attributes and its end. */
type Child = Node | string | number | null | undefined | false | Child[];
type Properties = Record<string, unknown> | null | undefined;
type Form = "significant" | "count" | "compact" | "percent" | "signed";
type Scale = ((value: number) => number) & { invert(place: number): number; ticks(wanted: number): number[] };

/** A layer's number, or for another hook point than resid_post "6.mlp_out". */
type Layer = number | string;

/** A layer's report, as the catalogue lists it: report.json without its features. */
interface Report {
  folder: string;
  files: string;
  outdated: boolean;
  layer: Layer;
  model: { name: string; revision: string | null; weights_sha256: string | null };
  sae: { folder: string; checkpoint: string; d_model: number; d_hidden: number; weights_sha256: string };
  source: {
    slug: string;
    name: string;
    corpus: string | null;
    texts: number | null;
    windows: number;
    context_length: number;
    truncated: number;
    short: number;
    blank: number;
    replaced: number;
    empty_files?: number;
    unanswered?: number;
    duplicates?: number;
    skipped_files?: Record<string, number>;
  };
  mask: Record<"rows" | "position_0" | "special" | "outlier" | "kept" | "repeated" | "counted", number> & {
    outlier_limit: number | null;
  };
  /** One for each flag beside the others, by its name with underscores. */
  counts: Record<"features" | "active" | "dead" | "dead_bound" | "rows" | "above_10_percent", number> & Record<string, number>;
  density: Histogram;
  metrics: Measures | null;
  metrics_all_rows: Measures | null;
  recovered: Measures | null;
  recovered_all_rows: Measures | null;
  training: Curve[];
  contrast: ContrastFacts | null;
  settings?: Record<string, boolean | number | string>;
  notes: string[];
}

type Measures = Record<string, number | null>;

interface Histogram {
  edges: number[];
  counts: number[];
}

interface ContrastFacts {
  questions: number;
  rows_factual: number;
  rows_hallucinated: number;
  significant: number;
  tested: number;
}

interface TokenActs {
  ids: number[];
  texts: string[];
  acts: number[];
  left_out: number;
}

interface AnswerPair {
  question: number;
  opening: TokenActs;
  factual: TokenActs;
  hallucinated: TokenActs;
  rate_factual: number;
  rate_hallucinated: number;
}

interface ContrastEntry {
  feature: number;
  rate_factual: number;
  rate_hallucinated: number;
  more_factual: number;
  more_hallucinated: number;
  effect: number;
  p_value: number;
  p_corrected: number;
  pairs: AnswerPair[];
}

/** The features of a layer in columns, of index.js and the search's tokens; `columns.load` adds the last three. */
interface Columns {
  flag_names: string[];
  shards: number[];
  files: number;
  firings: number[];
  rate: number[];
  max: number[];
  mean: number[];
  telling: number[];
  flags: number[];
  strings: string[];
  fires: number[][];
  promotes: number[][];
  suppresses: number[][];
  strengths: number[][];
  length: number;
  feature: number[];
  lowered: string[];
}

/** What a list of features was asked. */
interface Wanted {
  sort: string;
  descending: boolean;
  include: string[];
  exclude: string[];
  low: number | null;
  high: number | null;
  query: string;
}

interface Words {
  top: string[];
  other: string[];
}

/** How well each feature answers a search. */
interface Found {
  levels: Float64Array;
  strength: Float64Array;
  hits: boolean[] | null;
}

/** Text with a feature's activation on each token, as tokens.js shows it. */
interface Shown {
  t: string[];
  i: number[];
  a: ArrayLike<number>;
  peak: number;
  act?: number;
  doc?: number;
  pos?: number;
  answer?: string | null;
}

/** A training curve: a value at each of its steps. */
interface Curve {
  name: string;
  steps: number[];
  values: (number | null)[];
}

/** An example as a file of features holds it: tokens by their place in the file's texts, activations where there are any. */
interface PackedExample {
  tokens: number[];
  at: number[];
  acts: number[];
  peak: number;
  act: number;
  document: number;
  position: number;
  answer: string | null;
}

interface TokenFiring {
  id: number;
  text: string;
  count: number;
  occurrences: number;
  p_token_given_fires: number;
  p_fires_given_token: number;
  lift: number;
}

interface Logit {
  id: number;
  text: string;
  logit: number;
}

/** What is known of a feature besides its examples. */
interface FeatureFacts {
  feature: number;
  rows: number;
  firings: number;
  rate: number;
  rate_low: number;
  rate_high: number;
  windows: number;
  windows_seen: number;
  max_act: number;
  mean_act: number;
  std_act: number;
  flags: string[];
  histogram: Histogram;
  positions: Histogram & { rows: number[]; rates: number[] };
  tokens: TokenFiring[];
  tokens_error: number;
  promoted: Logit[];
  suppressed: Logit[];
  neighbours: { feature: number; cosine: number; cofires: number | null }[];
  encoder_decoder_cosine: number | null;
  contrast?: ContrastEntry;
}

interface PackedFeature extends FeatureFacts {
  examples: PackedExample[];
  top: number[];
  uniform: number[];
  weighted: number[];
  bands: { low: number; high: number; examples: number[] }[];
}

/** A file of features. */
interface Shard {
  first: number;
  texts: string[];
  ids: number[];
  features: PackedFeature[];
}

interface Feature extends FeatureFacts {
  top: Shown[];
  uniform: Shown[];
  weighted: Shown[];
  bands: { low: number; high: number; examples: Shown[] }[];
}

/** The place of a feature in the list that was looked at last. */
interface Walk {
  rows: number[];
  place: number;
  previous: number | null;
  next: number | null;
}

/** A feature in the scatter plot. */
interface Point {
  row: number;
  px: number;
  py: number;
  plain: boolean;
}

interface TokenFacts {
  text: string;
  id: number | null;
  activation: number;
}

/** A feature that a search over all reports found. */
interface Answer {
  report: Report;
  all: Columns;
  found: Found;
  row: number;
}

interface PromptFeature {
  feature: number;
  acts: number[];
}

interface Prompt {
  text: string;
  ids: number[];
  texts: string[];
  layers: { layer: Layer; features: PromptFeature[] }[];
}

/** A mark of a chart that can be read and perhaps opened. */
interface Mark {
  x: number;
  y: number;
  lines(): string[];
  pick?: () => void;
  cursor?: () => Element[];
}

interface Drawn {
  drawing: Element;
  marks: Mark[];
  near?: (x: number, y: number) => number;
  cursor?: Element;
}

type View = "overview" | "layer" | "feature" | "features" | "contrast" | "prompt" | "search";

/** What the address asks for; a view that needs a report or a feature is only asked with one. */
interface Route {
  layer: Layer | null;
  source: string | null;
  report: Report;
  feature: number;
  parameters: URLSearchParams;
  view: View;
}

/** A page in the making; `key` tells whether it used the key. */
interface Page {
  title: string;
  node: Element;
  key?: (name: string) => boolean;
  shown?: () => void;
  destroy?: () => void;
}

interface VirtualRows<Item> {
  node: HTMLElement;
  rows: Map<number, HTMLElement>;
  show(items: Item[]): void;
  reveal(index: number, margin: number): void;
  destroy(): void;
}

interface Catalogue {
  version: string;
  flags: Record<string, string>;
  layers: Report[];
  damaged: { layer: Layer; source: string }[];
  prompt: boolean;
  prompt_damaged: boolean;
}

interface Ghosttrack {
  deliver(name: string, payload: unknown): void;
  data: {
    get(name: "catalogue"): Catalogue;
    // What a file holds depends on its name.
    load(name: string, path?: string): Promise<any>;
    take(name: string, path?: string): Promise<any>;
  };
  dom: {
    el<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, properties?: Properties, ...children: Child[]): HTMLElementTagNameMap[Tag];
    svg<Tag extends keyof SVGElementTagNameMap>(tag: Tag, properties?: Properties, ...children: Child[]): SVGElementTagNameMap[Tag];
    icon(name: string, label?: string): SVGElement;
    onResize(node: Element, draw: (width: number) => void): void;
    debounce<Values extends unknown[]>(action: (...values: Values) => void, milliseconds: number): (...values: Values) => void;
  };
  format: {
    significant(value: unknown, digits?: number): string;
    count(value: unknown): string;
    compact(value: unknown): string;
    percent(value: unknown, digits?: number): string;
    percentTick(value: number): string;
    signed(value: unknown, digits?: number): string;
    number(value: unknown, form?: Form, digits?: number): HTMLElement;
    exact: { on: boolean };
    setExact(on: boolean): void;
    visible(text: string): string;
    token(text: string): string;
    chip(text: string, properties?: Properties): HTMLElement;
    isNumber(value: unknown): value is number;
  };
  tip: {
    start(): void;
    show(node: Element | null | undefined): void;
    showAt(said: (Element | string)[], box: { left: number; top: number; bottom: number }): void;
    hide(): void;
  };
  reader: {
    Reader: new (holder: HTMLElement) => { read(drawn: Required<Omit<Drawn, "cursor">> & Pick<Drawn, "cursor">): void };
    along(marks: Mark[]): (x: number, y: number) => number;
  };
  colour: {
    STEPS: number;
    apply(theme: string | undefined): void;
    level(value: number, maximum: number): number;
    paint<Painted extends HTMLElement>(node: Painted, value: number, maximum: number): Painted;
    step(theme: "light" | "dark", share: number): { fill: string; ink: string };
  };
  theme: { start(): void; toggle(): void; current(): string | undefined };
  catalogue: {
    all(): Report[];
    layers(source?: string | null): Report[];
    layerOf(text: string | null): Layer | null;
    order(layer: Layer): number;
    ofLayer(layer: Layer | null | undefined): Report[];
    find(layer: Layer, source?: string | null): Report | undefined;
    sources(): string[];
    sourceOf(report: Report): string;
    textsName(report: Report): string;
    href(report: Report, parameters?: Record<string, unknown>): string;
    file(report: Report, name: string): Promise<any>;
    searchFile(report: Report, name: string): [name: string, path: string];
    walk(report: Report, name: string): boolean;
  };
  parts: {
    FLAGS: Record<string, string>;
    EFFECT: string;
    flag(name: string, reachable?: boolean): HTMLElement;
    flags(names: string[]): HTMLElement;
    featureLink(report: Report, feature: number, properties?: Properties): HTMLElement;
    card(title: string, properties?: Properties, ...children: Child[]): HTMLElement;
    fact(name: string, value: Child, behind?: Child, tip?: string): HTMLElement;
    term(name: Child, tip?: string): Child;
    table(caption: string, heads: (string | null | undefined)[][], rows: Child, properties?: Properties): HTMLElement;
    details(summary: string, ...children: Child[]): HTMLElement;
    meter(share: number, properties?: Properties): HTMLElement;
    logShare(rate: number): number;
    segmented(label: string, choices: (readonly [key: string, text: string, total?: number])[], chosen: string, choose: (key: string) => void): HTMLElement;
    empty(title: string, text?: Child, name?: string): HTMLElement;
    crumbs(...links: [text: string, href?: string][]): HTMLElement;
  };
  about(reports: Report[]): (HTMLElement | null)[] | null;
  search: {
    caseless(text: string): string;
    terms(query: string): string[];
    rank(all: Columns, query: string, examples: Words | null): Found;
    better(all: Columns, found: Found): (a: number, b: number) => number;
    read(report: Report, all: Columns): Promise<Words>;
    known(report: Report): Words | null;
  };
  columns: {
    load(report: Report): Promise<Columns>;
    prepare(columns: Columns): Columns;
    select(columns: Columns, wanted: Wanted, examples?: Words | null): { rows: number[]; found: Found };
    flagsOf(columns: Columns, row: number): string[];
    flagCounts(columns: Columns): [name: string, total: number][];
    SORTS: string[];
  };
  query: {
    parse(parameters: URLSearchParams): Wanted;
    href(report: Report, wanted: Wanted): string;
    remember(report: Report, wanted: Wanted, rows: number[]): void;
    remembered(report: Report, all: Columns): { wanted: Wanted; rows: number[] };
  };
  VirtualRows: new <Item>(build: (item: Item, index: number) => HTMLElement, heightOf: () => number) => VirtualRows<Item>;
  tokens: {
    list(examples: Shown[], maximum: number, label: string): HTMLElement;
    legend(maximum: number): HTMLElement;
    text(example: Shown, maximum: number, whole?: boolean): HTMLElement;
  };
  pairs: { list(pairs: AnswerPair[], maximum?: number): HTMLElement; strongest(pairs: AnswerPair[]): number };
  charts: {
    figure(label: string, height: number, draw: (width: number, height: number) => Drawn, caption?: Child): HTMLElement;
    canvas(width: number, height: number, ...children: Child[]): SVGElement;
    linear(domain: number[], range: number[]): Scale;
    log(domain: number[], range: number[]): Scale;
    axisX(scale: Scale, options: Axis & { top: number; bottom: number }): SVGElement;
    axisY(scale: Scale, options: Axis & { left: number }): SVGElement;
    extent(values: unknown[]): number[];
    tickText(value: number): string;
  };
  histogram(
    data: Histogram,
    options: {
      label: string;
      unit?: string;
      title?: string;
      height?: number;
      caption?: Child;
      logCounts?: boolean;
      edgeText?: (value: number) => string;
      tick?: (value: number) => string;
      pick?: (low: number, high: number) => void;
    },
  ): HTMLElement | null;
  lines: {
    lines(
      series: { name?: string; xs: number[]; ys: (number | null)[]; class?: string }[],
      options: { label: string; height?: number; logarithmic?: boolean; text?: (value: unknown) => string; tick?: (value: number) => string; title?: string },
    ): HTMLElement;
    bars(
      entries: { name: string; short?: string; value: number | null; said?: string; pick?: () => void }[],
      options: { label: string; height?: number; text?: (value: unknown) => string; tick?: (value: number) => string; title?: string },
    ): HTMLElement;
  };
  scatter(columns: Columns, pick: (feature: number) => void): HTMLElement;
  metrics: {
    value(report: Report, key: string): number | null;
    rows(report: Report, key: string): number | null;
    name(key: string): string;
    about(key: string): string;
    text(key: string, amount: unknown): string;
    shown(key: string, amount: unknown): HTMLElement;
  };
  curves(report: Report): HTMLElement | null;
  views: Record<View, (wanted: Route) => Page | Promise<Page>> & { missing(title: string, text?: Child): Page };
  keys: { start(currentPage: () => Page | null, goSearch: () => boolean): void };
}

interface Axis {
  right: number;
  top?: number;
  wanted: number;
  text?: (value: number) => string;
  title?: string;
}

/** The elements of the template that scripts ask for by their id. */
interface Document {
  getElementById(id: "layer-menu" | "source-menu"): HTMLSelectElement;
  getElementById(id: "help"): HTMLDialogElement;
  getElementById(id: "main" | "theme-toggle" | "help-open"): HTMLElement;
}

/** What the page's own code has put there; everything else may be missing. */
interface ParentNode {
  querySelector(selectors: ".filters" | ".grid-table" | `[data-choice="${string}"]`): HTMLElement;
  querySelector(selectors: "select"): HTMLSelectElement;
  querySelector(selectors: "a"): HTMLAnchorElement;
  querySelectorAll(selectors: "data"): NodeListOf<HTMLDataElement>;
  querySelectorAll(selectors: "[data-tab]"): NodeListOf<HTMLAnchorElement>;
  querySelector(selectors: string): HTMLElement | null;
  querySelectorAll(selectors: string): NodeListOf<HTMLElement>;
}

/** A token's element carries what the tip says of it. */
interface Element {
  tokenFacts?: TokenFacts;
  firing?: boolean;
}
