"""Methods that PEFT computes, a library that is an optional dependency: its configurations, and training with them."""
