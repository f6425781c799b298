import pickle

import numpy as np
import pytest
import torch
from torch import nn

from skworm.nn import FrameModule
from skworm.nn.blocks import Groups
from skworm.nn.frames import ReadoutModule
from skworm.training.augmentation import VirtualWorms
from skworm.training.loop import TrainingJob, TrainingSettings, held_out_windows, train
from skworm.training.process import one_thread, resolve_device, seeded

SETTINGS = {
    "max_epochs": 30,
    "learning_rate": 0.02,
    "weight_decay": 0.0,
    "decayed": "*",
    "device": "cpu",
    "seed": 0,
    "verbose": 0,
}


def perceptron_module():
    readout = ReadoutModule(2, 1, 2, n_hidden=8, n_layers=1, batch_norm="output", aggregation="concatenate")
    return FrameModule(2, 1, None, readout)


def job_of(module, X, group, y, held_out, settings=None):
    settings = settings or TrainingSettings(**SETTINGS)
    return TrainingJob(module, nn.CrossEntropyLoss, X, group, y, held_out, settings, None)


def separable(n_samples=80):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, 2)).astype(np.float32)
    return X, np.zeros(n_samples, dtype=int), (X[:, 0] > 0).astype(int)


def bare_loop(module, X, y, held_out, settings):
    """What `train` does, in plain torch."""
    X, y, held_out = torch.tensor(X), torch.tensor(y), torch.tensor(held_out)
    optimizer = torch.optim.Adam(module.parameters(), lr=settings["learning_rate"])
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.25, patience=50)
    losses, best = [], np.inf
    for _ in range(settings["max_epochs"]):
        module.train()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module(X[~held_out], Groups.one(int((~held_out).sum()))), y[~held_out])
        loss.backward()
        optimizer.step()
        module.eval()
        with torch.no_grad():
            judged = nn.functional.cross_entropy(
                module(X[held_out], Groups.one(int(held_out.sum()))), y[held_out]
            ).item()
        plateau.step(judged)
        losses.append((loss.item(), judged))
        if judged < best:
            best, weights = judged, {name: value.clone() for name, value in module.state_dict().items()}
    module.load_state_dict(weights)
    return losses


def test_training_equals_a_bare_loop_and_keeps_the_best_epoch():
    X, group, y = separable()
    held_out = np.arange(len(y)) % 4 == 0
    with seeded(1):
        module = perceptron_module()
    twin = pickle.loads(pickle.dumps(module))
    net = train(job_of(module, X, group, y, held_out))
    losses = bare_loop(twin, X, y, held_out, SETTINGS)
    np.testing.assert_allclose(net.history[:, ("train_loss", "valid_loss")], losses, rtol=1e-5)
    for name, value in twin.named_parameters():
        torch.testing.assert_close(net.module_.get_parameter(name), value)


def test_without_held_out_samples_the_training_loss_judges():
    X, group, y = separable()
    net = train(job_of(perceptron_module(), X, group, y, np.zeros(80, bool)))
    best = dict(net.callbacks_)["best_epoch"].best_epoch_
    assert best == 1 + int(np.argmin(net.history[:, "train_loss"]))


def test_the_learning_rate_falls_on_a_plateau(monkeypatch):
    monkeypatch.setattr("skworm.training.loop.LEARNING_RATE_PATIENCE", 3)
    X, group, _ = separable()
    y = np.random.default_rng(1).integers(2, size=80)
    held_out = np.arange(80) % 2 == 0
    settings = TrainingSettings(**{**SETTINGS, "learning_rate": 0.5})
    net = train(job_of(perceptron_module(), X, group, y, held_out, settings))
    assert net.optimizer_.param_groups[0]["lr"] < 0.5


def test_weight_decay_holds_for_the_named_parameters_alone():
    X, group, y = separable()
    module = perceptron_module()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    settings = TrainingSettings(**{**SETTINGS, "weight_decay": 1e4, "decayed": "readout.output.*"})
    net = train(job_of(module, X, group, y * 0, np.zeros(80, bool), settings))
    after = net.module_.state_dict()
    assert after["readout.output.weight"].abs().max() < before["readout.output.weight"].abs().max()
    groups = {group["weight_decay"]: len(group["params"]) for group in net.optimizer_.param_groups}
    assert groups == {1e4: 2, 0: len(list(module.parameters())) - 2}


def test_the_seed_governs_what_is_drawn():
    X, group, y = separable()
    jobs = [job_of(perceptron_module(), X, group, y, None, TrainingSettings(**{**SETTINGS, "seed": s})) for s in (1, 2)]
    assert torch.rand(1, generator=jobs[0].generator) != torch.rand(1, generator=jobs[1].generator)


def test_infinite_losses_are_an_error():
    X, group, y = separable()
    X[:] = np.inf
    with pytest.raises(ValueError, match=r"valid_loss was never a finite number in 30 epochs.*lower learning_rate"):
        train(job_of(perceptron_module(), X, group, y, np.arange(80) < 9))


@pytest.mark.parametrize("epoch", [1, 7])
def test_an_interrupt_ends_training_without_a_model(monkeypatch, epoch):
    def interrupt(self, net, **kwargs):
        if len(net.history) == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr("skworm.training.loop.BestEpoch.on_epoch_end", interrupt)
    X, group, y = separable()
    with pytest.raises(KeyboardInterrupt):
        train(job_of(perceptron_module(), X, group, y, np.arange(80) % 4 == 0))


def test_progress_is_shown_only_when_asked_for(capsys):
    X, group, y = separable()
    for verbose in (0, 1):
        settings = TrainingSettings(**{**SETTINGS, "verbose": verbose})
        train(job_of(perceptron_module(), X, group, y, np.arange(80) < 9, settings))
        shown = "".join(capsys.readouterr())
        assert ("30/30" in shown) == bool(verbose)


def test_seeding_leaves_the_global_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(0):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded(0):
        assert torch.equal(torch.rand(3), first)


def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_devices_without_a_gpu():
    assert resolve_device("auto") == "cpu"
    with pytest.raises(ValueError, match=r"device='cuda', but torch finds no CUDA GPU.*device='auto'"):
        resolve_device("cuda")


def virtual(worms, X, group, n_steps=1, signals=("trace",), generator=None):
    generator = generator or torch.Generator().manual_seed(0)
    draws = worms.draw(len(X), X.shape[1] // n_steps, generator, signals)
    return worms.apply(X, group, **draws.by_sample, **draws.shared)


class TestVirtualWorms:
    def draw(self, worms, n_frames=200, n_features=3):
        X, group = torch.rand(n_frames, n_features), torch.arange(n_frames) // 100
        return X, group, *virtual(worms, X, group)

    def test_each_virtual_worm_is_an_affine_map_within_bounds(self):
        worms = VirtualWorms(gain=0.3, offset=0.2, n_groups=4)
        X, group, changed, virtual = self.draw(worms)
        assert len(virtual.unique()) == 8
        gains = []
        for number in virtual.unique():
            rows = virtual == number
            assert len(group[rows].unique()) == 1
            for column in range(X.shape[1]):
                gain, offset = np.polyfit(X[rows, column].numpy(), changed[rows, column].numpy(), 1)
                assert 0.699 < gain < 1.301
                assert abs(offset) < 0.201
                gains.append(gain)
        assert np.std(gains) > 0.05

    def test_no_gain_and_no_offset_change_nothing(self):
        X, _, changed, _ = self.draw(VirtualWorms(gain=0, offset=0))
        assert torch.equal(X, changed)

    def test_steps_and_features_of_a_neuron_share_what_is_drawn(self):
        X, group = torch.rand(40, 6), torch.zeros(40, dtype=torch.long)
        X[:, :2] = torch.nan
        worms = VirtualWorms(mixing=0.1, neuron_dropout=0.3)
        one = virtual(worms, X, group, 1, ("trace", "derivative"))[0]
        two = virtual(worms, X.repeat(1, 2), group, 2, ("trace", "derivative"))[0]
        torch.testing.assert_close(two, one.repeat(1, 2), equal_nan=True)
        missing = one.isnan().unflatten(1, (3, 2))
        assert (missing[..., 0] == missing[..., 1]).all()
        assert 0 < missing[:, 1:].float().mean() < 1

    def test_epochs_differ(self):
        worms, generator = VirtualWorms(), torch.Generator().manual_seed(0)
        X, group = torch.rand(20, 2), torch.zeros(20, dtype=torch.long)
        first, second = (virtual(worms, X, group, generator=generator)[0] for _ in range(2))
        assert not torch.equal(first, second)

    @pytest.mark.parametrize(
        ("parameters", "match"),
        [
            ({"gain": -1}, r"'gain' parameter of VirtualWorms"),
            ({"offset": float("nan")}, r"'offset' parameter of VirtualWorms"),
            ({"gain": "large"}, r"'gain' parameter of VirtualWorms"),
            ({"n_groups": 0}, r"'n_groups' parameter of VirtualWorms"),
            ({"n_groups": 2.5}, r"'n_groups' parameter of VirtualWorms"),
        ],
    )
    def test_bad_parameters(self, parameters, match):
        with pytest.raises(ValueError, match=match):
            VirtualWorms(**parameters)._validate_params()


def test_held_out_windows_are_whole_and_shared_over_groups():
    group, window = np.repeat([0, 1, 2], [80, 80, 4]), np.concatenate([np.arange(80) // 8, np.arange(80) // 8, [0] * 4])
    held_out = held_out_windows(group, window, 0.2, np.random.RandomState(0))
    for member in (0, 1):
        rows = group == member
        by_window = [set(held_out[rows & (window == number)]) for number in range(10)]
        assert all(len(values) == 1 for values in by_window)
        assert sum(values == {True} for values in by_window) == 2
    assert not held_out[group == 2].any(), "a single window must be trained on"


def test_held_out_windows_are_drawn():
    window, alone = np.arange(80) // 8, np.zeros(80)
    drawn = [held_out_windows(alone, window, 0.1, np.random.RandomState(seed)).argmax() for seed in range(5)]
    assert len(set(drawn)) > 1
