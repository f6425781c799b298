"""Time and peak memory of a training epoch of the trajectory GNN, against a bare torch loop of the same module.

Both roll the same GNN with dynamic edges out over the same 8-step trajectories of one worm, full batch, on one CPU
thread. The bare loop keeps the hidden features of all pairs of neurons at every step for the backward pass, which is
what plain PyTorch does; skworm computes them for a few frames at a time, and once more in the backward pass. Each runs
in a process of its own. Printed are the CPU seconds of an epoch, their ratio, the memory that the process takes at its
peak beyond its imports, and the size of one tensor (n_samples, n_neurons, n_neurons, n_hidden) for comparison. The bare
loop is left out where its tensors would not fit.

    python tests/benchmarks/rollout.py [--neurons 15 50 100 302] [--hidden 256] [--epochs 3] [--samples 390]
"""

import argparse
import multiprocessing
import resource
import time

import numpy as np
import pandas as pd
import torch
from torch import nn

from skworm import GNNTrajectoryRegressor, InferredGraph
from skworm.nn import Groups
from skworm.training.process import one_thread

_LARGEST_BARE_LOOP = 12e9
_STEPS, _NODE_FEATURES = 8, 2


def trajectories(n_samples, n_neurons):
    frames = np.random.default_rng(0).random((n_samples, _STEPS + 1, n_neurons * _NODE_FEATURES), dtype=np.float32)
    return frames[:, 0], frames[:, 1:].reshape(n_samples, -1)


def bare_rollout(module, X):
    """The same computation as the module's, every hidden tensor kept."""
    messages, readout = module.step.messages, module.step.readout
    encoder, frame, predicted = messages.graph.encoder, X, []
    for _ in range(_STEPS):
        nodes = frame.unflatten(1, module.frame_shape)
        weights = encoder.weights(encoder.hidden_edges(encoder.neuron(nodes)))
        nodes = nodes + (weights / weights.shape[-1]) @ nodes
        frame = frame + readout(nodes) + module.linear(frame)
        frame = torch.clamp(frame, *module.bounds)
        predicted.append(frame)
    return torch.cat(predicted, 1)


def measure(kind, n_samples, n_neurons, n_hidden, n_epochs, answers):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = GNNTrajectoryRegressor(
        n_hidden=n_hidden,
        graph=InferredGraph(n_hidden=n_hidden),
        augmentation=None,
        validation_fraction=0,
        random_state=0,
        device="cpu",
        max_epochs=1,
    )
    X, Y = trajectories(n_samples, n_neurons)
    names = [f"N{neuron}:{feature}@0" for neuron in range(n_neurons) for feature in ("trace", "derivative")]
    module = model.fit(pd.DataFrame(X[:2], columns=names), Y[:2]).net_.module_.float().train()
    with one_thread():
        X, Y, group = torch.tensor(X), torch.tensor(Y), Groups.one(n_samples)
        optimizer = torch.optim.Adam(module.parameters())
        seconds = []
        for _ in range(n_epochs):
            start = time.process_time()
            optimizer.zero_grad()
            predicted = bare_rollout(module, X) if kind == "bare" else module(X, group)
            nn.functional.mse_loss(predicted, Y).backward()
            optimizer.step()
            seconds.append(time.process_time() - start)
        added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    answers.put((float(np.median(seconds)), added, predicted.detach().double().sum().item()))


def in_own_process(*arguments):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=measure, args=(*arguments, answers))
    process.start()
    answer = answers.get()
    process.join()
    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, nargs="+", default=[15, 50, 100, 302])
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--samples", type=int, default=390, help="trajectories; 390 is what one worm has")
    options = parser.parse_args()
    print(f"{options.samples} trajectories of {_STEPS} steps, {options.hidden} hidden features, one CPU thread")
    print("neurons  epoch (s)  bare (s)  ratio  peak (MB)  bare (MB)  tensor (MB)")
    for n_neurons in options.neurons:
        settings = options.samples, n_neurons, options.hidden, options.epochs
        tensor = options.samples * n_neurons**2 * options.hidden * 4
        seconds, memory, total = in_own_process("ours", *settings)
        bare = "-", "-", "-"
        # Four hidden tensors a step wait for the backward pass.
        if 4 * _STEPS * tensor < _LARGEST_BARE_LOOP:
            bare_seconds, bare_memory, bare_total = in_own_process("bare", *settings)
            assert np.isclose(total, bare_total, rtol=1e-4), "the two do not compute the same"
            bare = f"{bare_seconds:.2f}", f"{seconds / bare_seconds:.2f}", f"{bare_memory / 1e6:.0f}"
        print(
            f"{n_neurons:7} {seconds:10.2f} {bare[0]:>9} {bare[1]:>6} {memory / 1e6:10.0f} {bare[2]:>10} "
            f"{tensor / 1e6:12.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
