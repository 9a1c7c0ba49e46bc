"""`mypt train`: from a request to a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.data.corpus import standard_library_text
from mypt.data.loader import GPTDataLoader
from mypt.data.shards import read_tokenizer_state
from mypt.data.text import read_text
from mypt.engine.checkpoints import resume
from mypt.engine.devices import choose_device, is_available
from mypt.engine.gpt import GPT
from mypt.engine.opening import Opened, is_checkpoint, open_checkpoint
from mypt.engine.optimizer import make_optimizer
from mypt.engine.places import log_file_of, model_dir
from mypt.engine.plan import Plan, TrainRequest, plan_new, plan_resume
from mypt.engine.training import Job, train
from mypt.format.errors import Problem, UsageError
from mypt.format.readers import hugging_face

if TYPE_CHECKING:
    import torch

    from mypt.format.documents import GPTConfig, TrainingConfig, TrainingState
    from mypt.plugins.contracts import Tokenizer
    from mypt.plugins.manager import Plugins


@frozen
class Outcome:
    """How a run ended.

    Attributes:
        folder: Folder of the bundle.
        state: The state that was saved last.
        trained: Whether there was anything left to do.
    """

    folder: Path
    state: TrainingState
    trained: bool

    @property
    def complete(self) -> bool:
        """Whether the run reached its `max_iters`."""
        return self.state.step >= self.state.training_config.max_iters


@frozen
class _Text:
    text: str
    source: str


def run_training(request: TrainRequest, plugins: Plugins, *, quiet: bool = False) -> Outcome:
    """Train a new model, or go on with the one of that name.

    Everything is checked before the first file is written.

    Raises:
        MyptError: Something the user can mend; nothing was written.
        SaveError: A checkpoint could not be written; the one before it is whole.
    """
    folder = model_dir(request.model_name)
    if not is_checkpoint(folder, plugins):
        job = _new_job(plan_new(request, plugins.layouts), plugins)
    else:
        opened = open_checkpoint(folder, plugins)
        _refuse_to_overwrite(opened)
        plan = plan_resume(request, opened)
        state = opened.training_state
        if state is not None and state.step >= plan.training.max_iters:
            done = evolve(state, training_config=plan.training)
            return Outcome(folder, done, trained=False)
        job = _resumed_job(plan, opened, plugins)
    log_file = log_file_of(job.training, folder.name)
    state = train(evolve(job, folder=folder, log_file=log_file, quiet=quiet))
    return Outcome(folder, state, trained=True)


def _refuse_to_overwrite(opened: Opened) -> None:
    """Refuse to save beside the `config.json` of another program, which would replace it."""
    if opened.format == hugging_face.READER.name:
        what = "is another program's folder, whose config.json would be written over"
        fix = f"make a bundle of it first: mypt format migrate {opened.path}"
        raise UsageError(Problem(str(opened.path), "", what, fix, kind="checkpoint.foreign"))


def _new_job(plan: Plan, plugins: Plugins) -> Job:
    device = choose_device(plan.device)
    factory = plugins.tokenizer(plan.tokenization)
    training = plan.training
    if training.dataset_dir is None:
        text = _text(training)
        tokenizer = factory.train(text.text)
    else:
        text = None
        state = read_tokenizer_state(training.dataset_dir)
        tokenizer = plugins.tokenizer(state["token_kind"]).build(state)
    config = evolve(plan.config, vocab_size=tokenizer.vocab_size, device=str(device))
    loader = _loader(config, tokenizer, training, text)
    model = GPT(config, tokenizer, seed=training.seed, plugins=plugins).to(device)
    return Job(
        model=model,
        optimizer=make_optimizer(model, training),
        loader=loader,
        training=training,
        eval_loaders=_eval_loaders(config, tokenizer, training),
        notices=(*plan.notices, _about(loader, tokenizer, device)),
    )


def _resumed_job(plan: Plan, opened: Opened, plugins: Plugins) -> Job:
    saved = opened.config.device
    wanted = plan.device or (saved if saved is not None and is_available(saved) else None)
    device = choose_device(wanted)
    training = plan.training
    model, optimizer, _ = resume(opened, training, plugins, device)
    tokenizer = model.need_tokenizer()
    text = _text(training) if training.dataset_dir is None else None
    loader = _loader(model.config, tokenizer, training, text)
    step = plan.training.start_step
    return Job(
        model=model,
        optimizer=optimizer,
        loader=loader,
        training=training,
        previous=plan.previous,
        eval_loaders=_eval_loaders(model.config, tokenizer, training),
        notices=(
            f"Resuming {opened.path} from step {step}",
            *plan.notices,
            _about(loader, tokenizer, device),
        ),
    )


def _text(training: TrainingConfig) -> _Text:
    if training.input_file is not None:
        return _Text(read_text(training.input_file), training.input_file)
    corpus = standard_library_text()
    return _Text(corpus.text, corpus.description)


def _loader(
    config: GPTConfig, tokenizer: Tokenizer, training: TrainingConfig, text: _Text | None
) -> GPTDataLoader:
    if text is None:
        return GPTDataLoader(config, tokenizer, dataset_dir=training.dataset_dir)
    return GPTDataLoader(config, tokenizer, text=text.text, source=text.source)


def _eval_loaders(
    config: GPTConfig, tokenizer: Tokenizer, training: TrainingConfig
) -> dict[str, GPTDataLoader]:
    folder = training.eval_dataset_dir
    if folder is None:
        return {}
    loader = GPTDataLoader(config, tokenizer, dataset_dir=folder, eval_only=True)
    return {Path(folder).name: loader}


def _about(loader: GPTDataLoader, tokenizer: Tokenizer, device: torch.device) -> str:
    data = loader.fingerprint
    return (
        f"Data: {data.source}, {data.train_tokens:,} tokens to train on and {data.val_tokens:,} "
        f"to validate on ({tokenizer.token_kind}, {tokenizer.n_vocab} ids); device: {device}"
    )
