"""Where the time of a stack of fits goes: launches, Python, kernels, and the memory that it takes at most.

python tests/benchmarks/gpu/where_time_goes.py [--device cuda] [--fits 32] [--epochs 20] [--neurons 15] [--frames 3000]
"""

import argparse
import time

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from skworm import GNNStateClassifier, MLPStateClassifier
from skworm.training.stack import train_together


def jobs_of(estimator, n_fits, n_frames, n_neurons):
    """Return the training jobs of so many fits to random frames of two worms."""
    rng = np.random.RandomState(0)
    worm = np.repeat([0, 1], n_frames // 2)
    jobs = []
    for seed in range(n_fits):
        X = rng.random_sample((len(worm), n_neurons))
        jobs.append(estimator.set_params(random_state=seed).training_job(X, (X[:, 0] > 0.5).astype(int), worm=worm))
    return jobs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--fits", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--neurons", type=int, default=15)
    parser.add_argument("--frames", type=int, default=3000)
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    for kind in (MLPStateClassifier, GNNStateClassifier):
        estimator = kind(max_epochs=options.epochs, device=options.device)
        jobs = jobs_of(estimator, options.fits, options.frames, options.neurons)
        train_together(jobs[:1])
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        with profile(activities=activities) as profiler:
            train_together(jobs)
        spent = time.perf_counter() - start
        events = profiler.key_averages()
        launches = sum(event.count for event in events if event.key == "cudaLaunchKernel")
        kernels = sum(event.self_device_time_total for event in events) / 1e6 if on_gpu else float("nan")
        memory = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else float("nan")
        print(
            f"{kind.__name__}: {options.fits} fits, {options.epochs} epochs, {options.neurons} neurons: {spent:.2f} s, "
            f"{launches / options.epochs:.0f} launches an epoch, kernels {kernels:.2f} s, {memory:.2f} GiB"
        )
        order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
        print(events.table(sort_by=order, row_limit=8, max_name_column_width=40))


if __name__ == "__main__":
    main()
