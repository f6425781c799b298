"""The progress bar of a run of fits."""

from __future__ import annotations

from tqdm import tqdm


class FitProgress(tqdm):
    """Progress bar over fits, with an estimate of the time that is left from the fits of this run alone.

    Parameters
    ----------
    n_fits : int
        All fits of the run.
    n_kept : int
        Those that an earlier run has finished.
    verbose : int
        0 shows nothing.
    """

    def __init__(self, n_fits: int, n_kept: int, verbose: int) -> None:
        description = f"{n_kept} kept earlier" if n_kept else None
        # Without smoothing: fits differ in length from model to model, and parallel ones end in bunches.
        super().__init__(
            desc=description, total=n_fits, initial=n_kept, unit="fit", smoothing=0, disable=not verbose, leave=True
        )

    def finish(self, model: str) -> None:
        """Count a fit of a model."""
        self.set_postfix_str(f"last: {model}", refresh=False)
        self.update()

    def stop(self, reason: str) -> None:
        """Say that no further fit starts."""
        self.set_description(f"{reason}, ending the fits under way")
