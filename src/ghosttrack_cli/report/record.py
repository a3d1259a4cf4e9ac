"""What all records of a report share: frozen models with a version, and bounded numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from ghosttrack_cli.report.stored import Version
from ghosttrack_cli.site import SITE, Site

SettingValue = bool | int | float | str
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def _site(value: object) -> Site:
    return value if isinstance(value, Site) else Site.parse(value)


Layer = Annotated[
    Site,
    PlainValidator(_site),
    PlainSerializer(lambda site: site.json),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": f"^{SITE}$"},
            ],
            "description": "layer, from 0; for another hook point than resid_post 6.mlp_out",
        }
    ),
]
SchemaVersion = Annotated[Version, Field(alias="schema", description="version of the format")]


class Record(BaseModel):
    """A frozen part of a report; JSON keys are the field names, `schema_version` is `schema`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )
