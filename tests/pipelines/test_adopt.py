"""synth models import: what becomes of a pipeline's folder, and what is refused."""

from __future__ import annotations

import json
import shutil

import pytest
from starlette.testclient import TestClient

from synth.artifacts import Artifact
from synth.cli import main
from synth.errors import ArtifactError, ConfigError, UsageError
from synth.pipelines import adopt
from synth.sampling import Sampler
from synth.serving import ServerSettings, create_app
from tests.pipelines import tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning", "ignore::FutureWarning")


def test_the_command_adopts_and_the_model_makes_labelled_data(saved, tmp_path, capsys):
    place = ["--store", str(tmp_path / "store")]
    words = ["import", str(saved["text"]), "--name", "pets", "--classes", "cat, dog", *place]
    assert main(["models", *words]) == 0
    assert capsys.readouterr().out == "pets@1\n"
    options = ["--set", "steps=2", "--set", "scheduler=ddim", "--set", "prompt=a {class} in snow"]
    words = ["--count", "3", "--labels", "cat=1,dog=2", "--format", "npz", "--out", str(tmp_path / "out")]
    assert (
        main(["generate", "pets", *words, *options, *place, "--device", "cpu", "--precision", "32", "--json"])
        == 0
    )
    shown = json.loads(capsys.readouterr().out)
    assert (shown["classes"], shown["class_counts"]) == (["cat", "dog"], [1, 2])
    assert shown["plan"]["parameters"] == {"steps": 2.0, "scheduler": "ddim", "prompt": "a {class} in snow"}
    assert main(["models", "show", "pets", *place]) == 0
    assert "diffusers" in capsys.readouterr().out


def test_an_adopted_pipeline_is_served_with_its_parameters(store):
    settings = ServerSettings(
        store=store.root, device="cpu", precision="32", processes=0, workers=0, preload=""
    )
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        body = {
            "model": "text",
            "count": 2,
            "seed": 5,
            "labels": ["dog", "cat"],
            "format": "json",
            "parameters": {"steps": 2, "prompt": "日本の {class}", "guidance": 3},
        }
        answer = client.post("/v1/images/generations", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["parameters"]["prompt"] == "日本の {class}"
        told = {one["name"]: one for one in client.get("/v1/models/text").json()["parameters"]}
        assert (told["steps"]["kind"], told["steps"]["high"]) == ("whole number", 1000)
        assert "heun" in told["scheduler"]["choices"]
        assert told["prompt"]["default"] == "a photo of a {class}"
        body["parameters"] |= {"steps": 0}
        refused = client.post("/v1/images/generations", json=body)
        assert refused.status_code == 422
        assert "steps must be a whole number from 1 to 1000, not 0" in refused.json()["detail"]
        png = client.post("/v1/images/generations", json={"model": "plain", "parameters": {"steps": 1}})
        translated = client.post(
            "/v1/images/translations",
            files={"images": png.content},
            data={"model": "plain", "parameters": '{"steps": 2, "strength": 0.5}'},
        )
        assert translated.status_code == 200, translated.text


def test_an_artifact_holds_all_files_and_no_others(store):
    artifact = store.open("text")
    assert sorted(file.name for file in artifact.path.iterdir()) == [
        "README.md", "manifest.json", "tokenizer.json", "training_ids.safetensors", "weights.safetensors",
    ]  # fmt: skip
    assert set(artifact.manifest.libraries) == {"synth", "torch", "diffusers", "transformers"}
    assert "what it was trained on is not known" in (artifact.path / "README.md").read_text()
    assert store.open("class").card.classes[:4] == ("cat", "dog", "cat (2)", "3")


def test_a_damaged_tokenizer_is_found(store, tmp_path):
    folder = shutil.copytree(store.open("text").path, tmp_path / "copy")
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace("a", "b", 1))
    with pytest.raises(ArtifactError, match=r"tokenizer.json is damaged: its SHA-256"):
        Sampler(Artifact.open(folder), device="cpu", precision="32", warmup_seconds=0)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match=r"tokenizer.json is missing"):
        Artifact.open(folder)


def spoil_missing(folder):
    shutil.rmtree(folder / "vae")
    tiny.edit(folder / "model_index.json", text_encoder=[None, None])


def spoil_weights(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()


def spoil_pickled(folder):
    spoil_weights(folder)
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")


def spoil_code(folder):
    (folder / "unet" / "my_unet.py").write_text("")


def spoil_auto_map(folder):
    tiny.edit(folder / "unet" / "config.json", auto_map={"AutoModel": "other--model"})


def spoil_kernel(folder):
    tiny.edit(folder / "text_encoder" / "config.json", attn_implementation="someone/kernel")


def spoil_kernel_within(folder):
    tiny.edit(folder / "unet" / "config.json", more={"_attn_implementation": {"": "someone/kernel"}})


def spoil_quantised(folder):
    tiny.edit(folder / "unet" / "config.json", quantization_config="x")


def spoil_size(size):
    return lambda folder: tiny.edit(folder / "unet" / "config.json", sample_size=size)


def spoil_norm(folder):
    tiny.edit(folder / "unet" / "config.json", norm_num_groups=0)


def spoil_numbers(folder):
    from safetensors.torch import load_file, save_file

    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["conv_in.weight"][0, 0] = float("nan")
    save_file(weights, file)


def spoil_library(folder):
    tiny.edit(folder / "model_index.json", unet=["my_unet", "MyUNet"])


def spoil_index_class(folder):
    tiny.edit(folder / "model_index.json", _class_name=["pipeline", "MyPipeline"])


def spoil_pipeline(folder):
    tiny.edit(folder / "model_index.json", _class_name="StableDiffusionPipelin")


def spoil_component(folder):
    tiny.edit(folder / "model_index.json", vae=["diffusers", "VQModel"])


def spoil_scheduler(folder):
    tiny.edit(folder / "model_index.json", scheduler=["diffusers", "EDMEulerScheduler"])


def spoil_cut(folder):
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:2000])


def spoil_json(folder):
    (folder / "unet" / "config.json").write_text("{")


def spoil_tokenizer(folder):
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")


def spoil_fit(folder):
    tiny.edit(folder / "unet" / "config.json", cross_attention_dim=4)


def spoil_tensors(folder):
    from safetensors.torch import load_file, save_file

    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights["conv_in.weight"]
    save_file(weights, file)


def spoil_inpainting(folder):
    tiny.edit(folder / "vae" / "config.json", latent_channels=5)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (spoil_missing, ArtifactError, "lacks parts of a StableDiffusionPipeline: vae, text_encoder"),
        (spoil_weights, ArtifactError, r"unet lacks diffusion_pytorch_model\.safetensors"),
        (spoil_pickled, ArtifactError, r"pickles alone .*\.bin.* convert them with diffusers"),
        (spoil_code, UsageError, r"code of its own .*my_unet\.py.*runs no code"),
        (spoil_auto_map, UsageError, r"unet/config\.json needs code of its own \(auto_map"),
        (spoil_kernel, UsageError, r"code of its own \(attn_implementation 'someone/kernel'"),
        (spoil_kernel_within, UsageError, r"unet/config\.json needs code of its own \(_attn"),
        (spoil_quantised, UsageError, r"code of its own \(quantization_config"),
        (spoil_size("8"), ArtifactError, "sample_size in .* whole number from 1 to 1024, .* not '8'"),
        (spoil_size([8, 8, 8]), ArtifactError, "sample_size in .*or two of them"),
        (spoil_size(1_000_000), ArtifactError, "sample_size in .* not 1000000"),
        (spoil_norm, ArtifactError, "unet in .* cannot be loaded"),
        (spoil_numbers, ArtifactError, r"conv_in\.weight is NaN or infinite in places"),
        (spoil_library, UsageError, r"code of its own \(unet\)"),
        (spoil_index_class, UsageError, r"code of its own \(_class_name in"),
        (spoil_pipeline, UsageError, r"did you mean 'StableDiffusionPipeline'.*Supported: DDPMPipeline"),
        (spoil_component, UsageError, "vae in .* is a VQModel, .* Supported: AutoencoderKL"),
        (spoil_scheduler, UsageError, "scheduler in .* is a EDMEulerScheduler, .* Supported: DDIMScheduler"),
        (spoil_cut, ArtifactError, r"diffusion_pytorch_model\.safetensors is damaged"),
        (spoil_json, ArtifactError, r"unet/config\.json is damaged"),
        (spoil_tokenizer, ArtifactError, "tokenizer in .* cannot be loaded"),
        (spoil_fit, ArtifactError, "unet in .* cannot be loaded"),
        (spoil_tensors, ArtifactError, r"lack 1 tensors, the first of them conv_in\.weight"),
        (spoil_inpainting, ArtifactError, "vae in .* cannot be loaded"),
    ],
)
def test_what_cannot_be_adopted_is_refused_with_the_reason(copied, spoil, error, message):
    folder = copied("text")
    spoil(folder)
    with pytest.raises(error, match=message) as raised:
        adopt(folder, source="x")
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("plain", {"classes": ["cat"]}, "knows no classes"),
        ("plain", {"prompt": "cat"}, "reads no text"),
        ("class", {"classes": ["cat"]}, "has 1000 classes, and --classes names 1"),
        ("text", {"classes": ["cat", "cat"]}, "none twice"),
        ("text", {"classes": ["cat", ""]}, "a name for each class"),
        ("text", {"classes": ["cat"], "prompt": "a photo"}, "go together"),
        ("text", {"prompt": "a {class}"}, "go together"),
    ],
)
def test_classes_and_prompts_that_do_not_fit_are_refused(saved, kind, options, message):
    with pytest.raises(ConfigError, match=message):
        adopt(saved[kind], source="x", **options)


def test_a_folder_that_is_no_pipeline_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"model_index\.json is missing: no pipeline of diffusers"):
        adopt(tmp_path, source="x")


def test_the_family_is_not_trained(capsys):
    assert main(["train", "diffusers", "--data", "digits", "--name", "x"]) == 2
    assert "not trained here: adopt one with synth models import" in capsys.readouterr().err


def test_text_needs_its_package(saved, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install 'synth-service\[text\]'"):
        adopt(saved["text"], source="x")
