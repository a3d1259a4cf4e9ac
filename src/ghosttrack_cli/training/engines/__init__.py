"""What takes the steps: dense and sparse on a CPU, a graph on CUDA."""
