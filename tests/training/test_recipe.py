from __future__ import annotations

import pytest

from synth.errors import ConfigError, NotFoundError
from synth.training import resolve_recipe


@pytest.fixture
def settings(tmp_path):
    """``settings(text)``: a file that holds it."""

    def write(text: str):
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return write


def test_flag_before_set_before_environment_before_file_before_default(settings, monkeypatch):
    layers = {
        "config": settings("batch_size: 1\nseed: 1\nwarmup: 0.1\nblocks: 7\n"),
        "overrides": ["batch_size=3", "seed=3"],
        "flags": {"batch_size": 4, "seed": None},
    }
    monkeypatch.setenv("SYNTH_RECIPE_BATCH_SIZE", "2")
    monkeypatch.setenv("SYNTH_RECIPE_SEED", "2")
    monkeypatch.setenv("SYNTH_RECIPE_WARMUP", "0.2")
    recipe = resolve_recipe("vae", **layers)
    assert (recipe.batch_size, recipe.seed, recipe.warmup, recipe.blocks) == (4, 3, 0.2, 7)
    assert recipe.weight_decay == resolve_recipe("vae").weight_decay


def test_a_stored_recipe_stands_below_everything(monkeypatch):
    base = resolve_recipe("vae", overrides=["seed=5", "batch_size=5"]).model_dump(mode="json")
    monkeypatch.setenv("SYNTH_RECIPE_SEED", "6")
    recipe = resolve_recipe("vae", base=base)
    assert (recipe.seed, recipe.batch_size) == (6, 5)


def test_a_length_replaces_the_other_kind_of_length_below_it(settings, monkeypatch):
    config = settings("images_seen: 1000\nminutes: null\n")
    assert resolve_recipe("vae", config=config).images_seen == 1000
    recipe = resolve_recipe("vae", config=config, flags={"minutes": 2})
    assert (recipe.images_seen, recipe.minutes) == (None, 2)
    assert resolve_recipe("vae").images_seen == 500_000


def test_a_preset_gives_way_to_what_is_set(settings):
    assert resolve_recipe("vae", flags={"preset": "base"}).widths == [64, 128, 256, 512]
    assert resolve_recipe("vae", flags={"preset": "base"}, overrides=["widths=[8]"]).widths == [8]


def test_a_preset_replaces_what_stands_below_it(settings):
    config = settings("preset: tiny\nwidths: [8]\nlatent: 4\nseed: 3\n")
    assert resolve_recipe("vae", config=config).widths == [8]
    recipe = resolve_recipe("vae", config=config, flags={"preset": "base"})
    assert (recipe.widths, recipe.latent, recipe.seed) == ([64, 128, 256, 512], 128, 3)


@pytest.mark.parametrize(
    ("text", "size"), [("32", (32, 32)), ("32x48", (32, 48)), ("[9, 13]", (9, 13)), ("null", None)]
)
def test_a_size_is_written_in_any_of_these_ways(text, size):
    assert resolve_recipe("vae", overrides=[f"size={text}"]).size == size


@pytest.mark.parametrize("text", ["32", "bf16", "'16'", "auto"])
def test_a_precision_may_be_written_as_a_number(text, settings):
    assert resolve_recipe("vae", config=settings(f"precision: {text}")).precision == text.strip("'")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batchsize=3", r"there is no setting 'batchsize' \(did you mean 'batch_size'\?\)"),
        ("batch_size=0", "batch_size = 0: Input should be greater than or equal to 1"),
        ("batch_size=many", "batch_size = 'many': Input should be a valid integer"),
        ("learning_rate=NaN", "learning_rate = nan: Input should be a finite number"),
        ("learning_rate=-1", "learning_rate = -1"),
        ("minutes=0", "minutes = 0: Input should be greater than 0"),
        ("seed=18446744073709551616", "seed = 18446744073709551616"),
        ("size=2", "size = .*from 4 to 1024 pixels, not 2 x 2"),
        ("size=wide", "size = 'wide': a size is a number of pixels, or HEIGHTxWIDTH"),
        ("channels=2", "channels = 2: Input should be 1 or 3"),
        ("preset=huge", "preset = 'huge': Input should be 'tiny', 'small', 'base' or 'large'"),
        ("precision=8", "precision = '?8'?: Input should be 'auto', '32', 'bf16' or '16'"),
        ("widths=[]", "widths must be 1 to 8 numbers of channels"),
        ("widths=[0]", "widths must be 1 to 8 numbers of channels"),
        ("nothing", "Cannot read --set 'nothing'; write --set name=value"),
        ("=3", "write --set name=value"),
    ],
)
def test_a_bad_setting_is_named_with_what_is_allowed(override, message):
    with pytest.raises(ConfigError, match=message):
        resolve_recipe("vae", overrides=[override])


def test_all_faults_are_told_at_once():
    with pytest.raises(ConfigError, match=r"batch_size = 0.*; .*'colour'"):
        resolve_recipe("vae", overrides=["batch_size=0", "colour=red"])


def test_two_lengths_at_once_are_refused():
    with pytest.raises(ConfigError, match="set either minutes or images_seen, not both"):
        resolve_recipe("vae", flags={"minutes": 1, "images_seen": 100})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_size: [", "is neither YAML nor JSON"),
        ("- 1\n- 2\n", "must hold settings by name"),
        ("", "must hold settings by name"),
        ("family: gan\n", "a recipe of another family than 'vae'"),
        ("batch_size: 0\n", "batch_size = 0"),
        ("1: 2\n", "1"),
        ("\x00", "is neither YAML nor JSON"),
    ],
)
def test_a_bad_file_is_refused(settings, text, message):
    with pytest.raises(ConfigError, match=message):
        resolve_recipe("vae", config=settings(text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"Cannot read the configuration .*none\.yaml: No such file"):
        resolve_recipe("vae", config=tmp_path / "none.yaml")


def test_a_bad_environment_variable_is_refused(monkeypatch):
    monkeypatch.setenv("SYNTH_RECIPE_BATCH_SIZE", "0")
    with pytest.raises(ConfigError, match="batch_size = 0"):
        resolve_recipe("vae")


def test_an_unknown_family_is_answered_with_the_nearest():
    with pytest.raises(NotFoundError, match=r"'vea' \(did you mean 'vae'\?\)"):
        resolve_recipe("vea")
