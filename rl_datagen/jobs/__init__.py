"""Jobs on datasets: demonstrations, collection, rendering, labels, replay of compact episodes.

Nothing is imported here: verifying needs neither the simulator nor PyTorch, as other jobs do.
"""
