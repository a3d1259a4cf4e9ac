"""What a training will do before it begins: recipe, steps, memory, time."""
