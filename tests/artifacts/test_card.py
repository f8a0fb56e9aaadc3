import json
import subprocess
import sys

import yaml

from synth.artifacts import Metric


def published(store, draft, **changes):
    return store.publish(type(draft)(**{**vars(draft), **changes}), "pets")


def test_the_card_as_a_dictionary_is_json(store, draft):
    card = published(store, draft).card
    content = json.loads(json.dumps(card.as_dict(), allow_nan=False))
    assert content.pop("created").endswith("+00:00")
    assert content == {
        "reference": "pets@1",
        "name": "pets",
        "version": 1,
        "family": "vae",
        "image": {"channels": 1, "height": 8, "width": 12},
        "classes": ["cat", "dog"],
        "digest": card.digest,
        "metrics": {"loss": {"value": 0.25, "how": "mean over 3 held-out images"}},
        "training_images": 3,
    }


def test_the_readme_says_what_it_is_and_how_to_use_it(store, draft):
    text = (published(store, draft).path / "README.md").read_text()
    assert "8 x 12 pixels" in text
    assert "| dog | 2 |" in text
    assert "| loss | 0.25 | mean over 3 held-out images |" in text
    assert "synth generate pets@1 --count 1000 --labels balanced" in text
    assert 'Sampler.open("pets@1")' in text
    assert "/v1/images/generations" in text
    assert yaml.safe_load(text.split("---")[1])["library_name"] == "synth"


def test_the_readme_of_a_model_without_classes_asks_for_any_label(store, draft):
    text = (published(store, draft, classes=None, class_counts=None).path / "README.md").read_text()
    assert "without classes" in text
    assert "--labels any" in text


def test_names_chosen_by_others_cannot_break_out_of_the_readme(store, draft):
    changes = {"classes": ["a|b\n# c", "<img src=x>"], "source": "my`data`\n\n# big\udcff"}
    text = (published(store, draft, **changes).path / "README.md").read_text()
    assert r"| a\|b # c | 1 |" in text
    assert "<img" not in text
    assert "`my'data' # big?`" in text


def test_a_store_is_listed_without_loading_torch(store, draft):
    published(store, draft)
    code = "import sys; from synth.artifacts import Store; from pathlib import Path\n"
    code += "print(Store(Path(sys.argv[1])).list()[0].card.reference, 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(store.root)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["pets@1", "False"]


def test_the_readme_of_an_encoder_says_how_to_use_features_and_what_was_not_measured(store, draft):
    metrics = {"knn_accuracy": Metric(value=None, how="not measured: the images have no labels")}
    artifact = published(store, draft, family="encoder", metrics=metrics)
    text = (artifact.path / "README.md").read_text()
    assert 'open_extractor("pets@1")' in text
    assert "synth generate" not in text
    assert "| knn\\_accuracy | not measured | not measured: the images have no labels |" in text
    assert yaml.safe_load(text.split("---")[1])["pipeline_tag"] == "image-feature-extraction"
    assert artifact.card.as_dict()["metrics"]["knn_accuracy"]["value"] is None
    assert not artifact.generates
