"""The commands of the method: how bad is it, which filters, and repair them."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from deepcorrect.cli import options as o
from deepcorrect.cli.application import METHOD, MORE, Command, app
from deepcorrect.cli.groups import Common, Ranked, Training, spread


@app.command(cls=Command, rich_help_panel=METHOD)
@spread
def assess(
    model: o.Model,
    common: Common,
    unlabelled: o.Unlabelled = None,
    distortion: o.Distortions = "blur,noise",
    levels: o.Levels = None,
    out: o.Out = None,
) -> None:
    """Measure how much a network suffers: its accuracy at every level of each distortion.

    Several common corruptions (--distortion imagenet-c) are shown together, corruptions by severity.

    Example: deepcorrect assess allcnn-cifar100 --data cifar100 --root data
    """
    from deepcorrect.cli import keeping, loading, parsing
    from deepcorrect.pipeline.baselines import assess as assess_job

    with loading.open_job(model, common, unlabelled=unlabelled) as job:
        ladders = parsing.ladders_of(job, distortion, levels)
        settings = {"model": model, "ladders": [[ladder.distortion.name, *ladder.levels] for ladder in ladders]}
        records = keeping.open_run(job, out, "assess", settings, ladders) or assess_job(job, ladders)
        keeping.conclude(job, records, as_json=common.as_json)


@app.command(cls=Command, rich_help_panel=METHOD)
@spread
def rank(
    model: o.Model,
    common: Common,
    ranked: Ranked,
    unlabelled: o.Unlabelled = None,
    distortion: o.DistortionName = "blur",
    levels: o.Levels = None,
    layers: o.Layers = "all",
    share: o.Share = "0.5",
    ideal: o.Ideal = None,
    out: o.Out = None,
) -> None:
    """Rank filters by their correction priority: the accuracy that correcting each of them would gain (Algorithm 1).

    Started by torchrun or accelerate launch, several processes share the work.

    Example: deepcorrect rank allcnn-cifar100 --data cifar100 --root data --distortion blur --layers 3 --out runs/rank
    """
    from deepcorrect.cli import keeping, loading, parsing
    from deepcorrect.cli.console import show_ideal, show_ranking, tell
    from deepcorrect.pipeline.ideal import measure_ideal
    from deepcorrect.pipeline.rank import rank as rank_job
    from deepcorrect.ranking.result import Ranking, count_of_share
    from deepcorrect.runs.ideal import read_ideal

    options = parsing.ranking_options(ranked)
    with loading.open_job(model, common, unlabelled=unlabelled) as job:
        ladder = parsing.ladder_of(job, distortion, levels)
        chosen = parsing.pick_convolutions(job, layers)
        shares = dict(zip((layer.name for layer in chosen), parsing.shares_of(share, chosen), strict=True))
        settings = {
            "model": model,
            "distortion": ladder.distortion.name,
            "levels": ladder.levels,
            "shares": shares,
            **asdict(options),
        }
        del settings["memory"]  # decides no result
        measured = parsing.ideal_shares(ideal, chosen) if ideal else ()
        settings |= {"ideal": measured} if ideal else {}
        if keeping.open_run(job, out, "rank", settings, [ladder]) is None:
            if out is not None and job.data.undivided:
                tell(f"{job.data.name}: ranked on all of it; for a correction to be tested on some of it, rank with --split")
            ranking = rank_job(job, *ladder, chosen, options, shares)
            curves = measure_ideal(job, *ladder, ranking, chosen, measured, options.images) if ideal else None
            if job.run is not None:
                job.run.finish([], job.device)
        elif job.run is not None:
            ranking, curves = Ranking.load(job.run.file("ranking.json")), read_ideal(job.run.path) if ideal else None
    if not job.processes.first:
        return
    if common.as_json:
        print(json.dumps(ranking.as_json() | ({"ideal": curves.model_dump(mode="json")} if curves else {})))
    else:
        show_ranking(ranking, {layer.name: count_of_share(shares[layer.name], layer.filters, layer.name) for layer in chosen})
        if curves is not None:
            show_ideal(curves)


@app.command(cls=Command, rich_help_panel=METHOD)
@spread
def correct(
    *,
    model: o.Model,
    common: Common,
    training: Training,
    unlabelled: o.Unlabelled = None,
    distortion: o.DistortionName = "blur",
    real: o.Real = None,
    levels: o.Levels = None,
    layers: o.Layers = "3",
    share: o.Share = "0.5",
    ranking: o.Scope = o.RankingScope.local,
    ranked_by: o.RankedBy = None,
    ranked: Ranked,
    unit: o.Unit = "cifar",
    no_bn: o.NoBatchNorm = False,
    retrain_last: o.RetrainLast = 0,
    gate: o.Gate = False,
    out: o.Out = None,
) -> None:
    """Rank filters, train correction units behind the most susceptible ones, and measure what that gains.

    With --ranked-by an existing ranking is used.

    Example: deepcorrect correct allcnn-cifar100 --data cifar100 --root data --distortion blur --layers 3 --out runs/fix
    """
    from deepcorrect.cli import keeping, loading, parsing
    from deepcorrect.models.fingerprint import fingerprint
    from deepcorrect.pipeline.correct import CorrectionOptions, check_options
    from deepcorrect.pipeline.correct import correct as correct_job
    from deepcorrect.pipeline.gate import add_gate
    from deepcorrect.pipeline.given_ranking import check_ranking

    recipe = parsing.recipe_for("correct", training, common, labels=unlabelled is None)
    with loading.open_job(model, common, trains=True, unlabelled=unlabelled) as job:
        ladder = loading.steered(job, parsing.ladder_of(job, distortion, levels), model, common, real)
        chosen = parsing.pick_convolutions(job, layers)
        plan = CorrectionOptions(
            layers=tuple(layer.name for layer in chosen),
            shares=parsing.shares_of(share, chosen),
            ranking=ranking.value,
            ranked=parsing.ranking_options(ranked),
            unit=unit,
            batch_norm=not no_bn,
            retrained=parsing.last_layers(job, retrain_last),
        )
        check_options(job, plan)
        given = parsing.read_ranking(ranked_by)
        if given is not None:
            check_ranking(given, ladder.distortion, chosen, network=fingerprint(job.model))
        settings = {
            "model": model,
            "distortion": ladder.distortion.name,
            "levels": ladder.levels,
            **asdict(plan),
            "half": training.half,
        }
        del settings["ranked"]["memory"]
        settings |= {"recipe": recipe.model_dump(), "ranked_by": str(ranked_by) if ranked_by else None}
        settings |= {"gate": True} if gate else {}
        records = keeping.open_run(job, out, "correct", settings, [ladder])
        if records is None:
            correction, records = correct_job(job, *ladder, plan, recipe, ranking=given, half=training.half)
            records += add_gate(job, plan.name, correction, ladder) if gate else []
        keeping.conclude(job, records, as_json=common.as_json)


@app.command(cls=Command, rich_help_panel=METHOD)
@spread
def finetune(
    model: o.Model,
    common: Common,
    training: Training,
    unlabelled: o.Unlabelled = None,
    distortion: o.DistortionName = "blur",
    real: o.Real = None,
    levels: o.Levels = None,
    layers: o.Layers = "3",
    out: o.Out = None,
) -> None:
    """Train the first layers whole, to compare a correction with (Finetune-k).

    Example: deepcorrect finetune allcnn-cifar100 --data cifar100 --root data --distortion blur --layers 3 --out runs/finetune
    """
    from deepcorrect.cli import keeping, loading, parsing
    from deepcorrect.models.layers import pick
    from deepcorrect.pipeline.correct import finetune as finetune_job

    recipe = parsing.recipe_for("finetune", training, common, labels=unlabelled is None)
    with loading.open_job(model, common, trains=True, unlabelled=unlabelled) as job:
        ladder = loading.steered(job, parsing.ladder_of(job, distortion, levels), model, common, real)
        names = [layer.name for layer in pick(job.layers, layers)]
        settings = {
            "model": model,
            "distortion": ladder.distortion.name,
            "levels": ladder.levels,
            "layers": names,
            "half": training.half,
        }
        settings |= {"recipe": recipe.model_dump()}
        records = keeping.open_run(job, out, "finetune", settings, [ladder])
        records = records or finetune_job(job, *ladder, names, recipe, half=training.half)[1]
        keeping.conclude(job, records, as_json=common.as_json)


@app.command(
    "run", cls=Command, rich_help_panel=MORE, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def run_file(
    context: typer.Context,
    file: o.JobFile,
) -> None:
    """Run the command that a job file describes.

    Options after the file are added to its own, and override them.

    Example: deepcorrect run experiments/imagenet/deepcorr-5.toml --data folder:imagenet --weights alexnet.safetensors
    """
    from deepcorrect.cli.jobfile import arguments_of

    app([*arguments_of(file), *context.args], standalone_mode=False)
