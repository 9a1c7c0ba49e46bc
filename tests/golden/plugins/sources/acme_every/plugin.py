"""The hooks: each offers what one contract of mypt 1.0 describes."""

from __future__ import annotations

from mypt.plugins import (
    DataSourceFactory,
    ExporterFactory,
    GuardFactory,
    LogitProcessorFactory,
    LossFactory,
    OptimizerFactory,
    PartFactory,
    ReaderFactory,
    ScheduleFactory,
    SinkFactory,
    TokenizerFactory,
    hookimpl,
    linear_head,
    token_embedding,
)

from acme_every import files, layouts, runs, texts, writing

SLOPE = {
    "type": "object",
    "properties": {"slope": {"type": "number", "minimum": 0, "default": 0.01}},
    "additionalProperties": False,
}


def in_parts(name):
    """Return what builds a part: torch is imported when it is called."""

    def build(config, layer=None):
        from acme_every import parts

        return getattr(parts, name)(config)

    return build


def build_leaky(config, layer):
    from acme_every import parts

    return parts.Leaky(config, layer)


def build_wide(config, make_norm):
    from acme_every import parts

    return parts.Wide(config, make_norm)


def build_recalling(config, make_block, make_norm):
    from acme_every import parts

    return parts.Recalling(config, make_block, make_norm)


def update_slope(settings, origin):
    """Write the percents of before 1.0 as a slope."""
    if "percent" not in settings:
        return settings
    others = {name: value for name, value in settings.items() if name != "percent"}
    return {**others, "slope": settings["percent"] / 100}


@hookimpl
def mypt_tokenizers():
    return [
        TokenizerFactory(
            "acme_words",
            texts.build,
            train=texts.train,
            train_pieces=texts.train_pieces,
            options=texts.LEARNT,
            train_options=texts.TRAINING,
        ),
        TokenizerFactory(
            "acme_bytes", lambda state: texts.Bytes(), train=lambda text: texts.Bytes()
        ),
    ]


@hookimpl
def mypt_parts():
    return [
        PartFactory("pos_encoding", "acme_waves", in_parts("Waves")),
        PartFactory("attention_type", "acme_single", in_parts("Single"), layouts.single),
        PartFactory(
            "mlp_type",
            "acme_leaky",
            build_leaky,
            layouts.leaky,
            options=SLOPE,
            former_names=("acme_leak",),
            former_packages=("acme-old",),
            update=update_slope,
        ),
        PartFactory("norm_type", "acme_scaled", in_parts("Scaled"), layouts.scaled),
        PartFactory("block_type", "acme_chained", in_parts("Chained"), norms=("ln",)),
        PartFactory("embedding_type", "acme_wide", build_wide, token_embedding),
        PartFactory("head_type", "acme_steady", in_parts("Steady"), linear_head),
        PartFactory("stack_type", "acme_recalling", build_recalling, layouts.recalling),
    ]


@hookimpl
def mypt_optimizers():
    return [
        OptimizerFactory(
            "acme_signs",
            runs.build_optimizer,
            runs.optimizer_state,
            settings=("momentum",),
            progress=("updates",),
            options=runs.MOMENTUM,
        )
    ]


@hookimpl
def mypt_schedules():
    return [
        ScheduleFactory(
            "acme_stairs",
            runs.build_schedule,
            min_lr_fraction=0.1,
            decay_step=lambda training: training.max_iters // 2,
            options=runs.STAIRS,
        )
    ]


@hookimpl
def mypt_losses():
    return [
        LossFactory("acme_focal", runs.build_focal, options=runs.GAMMA),
        LossFactory("acme_smooth", runs.build_smooth),
    ]


@hookimpl
def mypt_data_sources():
    return [
        DataSourceFactory(
            "acme_story",
            recognises=files.is_story,
            read=files.read_story,
            options=files.SEPARATOR,
        )
    ]


@hookimpl
def mypt_gold_guards():
    return [GuardFactory("acme_below", build=runs.build_guard, options=runs.LIMIT)]


@hookimpl
def mypt_log_sinks():
    return [SinkFactory("acme_lines", build=runs.build_sink, options=runs.LINES)]


@hookimpl
def mypt_legacy_readers():
    return [
        ReaderFactory(
            "acme_arrays",
            recognises=files.is_arrays,
            read=files.read_arrays,
            options=files.HEADS,
        )
    ]


@hookimpl
def mypt_exporters():
    return [
        ExporterFactory(
            "acme_arrays",
            "Acme's arrays",
            explain=files.explain_arrays,
            write=files.write_arrays,
            options=files.DTYPE,
        )
    ]


@hookimpl
def mypt_logit_processors():
    return [LogitProcessorFactory("acme_digits", writing.build, options=writing.COUNT)]
