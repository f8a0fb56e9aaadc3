"""Where pipelines are: in folders, and on a hub, of which that is fetched which is needed."""

from __future__ import annotations

import shutil
from fnmatch import fnmatch

import pytest

from synth.errors import NotFoundError, UsageError
from synth.pipelines import adopt, locate
from tests.pipelines import tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning", "ignore::FutureWarning")


def test_a_place_that_is_not_there_is_told_from_a_hub_that_is_not_reached(monkeypatch, tmp_path):
    with pytest.raises(NotFoundError, match=r"There is no folder .*/nothing\. Give the folder"):
        locate(str(tmp_path / "nothing"))

    def offline(*args, **options):
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(NotFoundError, match=r"hub cannot be reached .*no route to host.* give its folder"):
        locate("someone/something")
    monkeypatch.undo()
    with pytest.raises(NotFoundError, match=r"no id on the Hugging Face hub"):
        locate("someone/some--thing")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Makes a folder one of the hub; what is fetched of it lies in the folder that is told."""
    fetched = tmp_path / "fetched"

    def begin(folder):
        files = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]

        def download(name, *, allow_patterns):
            for file in files:
                if any(fnmatch(file, pattern) for pattern in allow_patterns):
                    (fetched / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(folder / file, fetched / file)
            return str(fetched)

        monkeypatch.setattr("huggingface_hub.snapshot_download", download)
        monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", lambda self, name: files)
        return fetched

    return begin


def test_of_a_hub_those_weights_are_fetched_that_are_needed_once(copied, hub):
    folder = copied("text")
    weights = "diffusion_pytorch_model.safetensors"
    shutil.copyfile(folder / "unet" / weights, folder / "whole.safetensors")
    (folder / "safety_checker").mkdir()
    shutil.copyfile(folder / "unet" / weights, folder / "safety_checker" / "model.safetensors")
    for middle in ("fp16", "non_ema"):
        shutil.copyfile(folder / "unet" / weights, folder / "unet" / weights.replace(".", f".{middle}.", 1))
    fetched = hub(folder)
    assert adopt(locate("someone/something"), source="x").family == "diffusers"
    assert sorted(file.relative_to(fetched).as_posix() for file in fetched.rglob("*.safetensors")) == [
        "text_encoder/model.safetensors", f"unet/{weights}", f"vae/{weights}",
    ]  # fmt: skip


def test_an_early_pipeline_has_its_one_network_beside_its_index(copied, hub):
    folder = copied("plain")
    for part in ("unet", "scheduler"):
        for file in (folder / part).iterdir():
            file.rename(folder / file.name)
        (folder / part).rmdir()
    (folder / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    fetched = hub(folder)
    assert adopt(locate("someone/something"), source="x").recipe == {"adopted": "DDPMPipeline"}
    assert not (fetched / "diffusion_pytorch_model.bin").exists()
    tiny.edit(folder / "config.json", auto_map={"AutoModel": "other--model"})
    with pytest.raises(UsageError, match="auto_map"):
        adopt(folder, source="x")


def test_nothing_large_is_fetched_of_what_is_refused(copied, hub):
    folder = copied("text")
    tiny.edit(folder / "unet" / "config.json", quantization_config="x")
    fetched = hub(folder)
    with pytest.raises(UsageError, match="quantization_config"):
        locate("someone/something")
    assert not list(fetched.rglob("*.safetensors"))
