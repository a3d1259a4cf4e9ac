"""The process and the machine around a stage: clock, signals, memory, devices."""
