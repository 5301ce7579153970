"""The network in C, with products of int8 weights and int16 activations; built for the machine at set-up."""
