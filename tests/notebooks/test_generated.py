"""What the generators left in data/generated, for the comparison that ends 32_diffusion: made again, judged again."""

import json

import pytest

from utils import judge
from utils.workshop import kernel, lessons

FAMILIES = {"vae": "30_vae", "gan": "31_gan", "diffusion": "32_diffusion"}
QUICKEST = "vae"  # the one that is made again; it trains in seconds


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """Run the quickest lesson as `make run` does, but into another folder, up to the cell that keeps."""
    folder = tmp_path_factory.mktemp("generated")
    path = lessons.NOTEBOOKS / f"{FAMILIES[QUICKEST]}.ipynb"
    book = lessons.read(path)
    keeps = next(n for n, cell in enumerate(book.cells) if "judge.keep(" in cell.source)
    book.cells = book.cells[: keeps + 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_KEEP", str(folder))
        run = kernel.execute(path, source=book)
    if run.error:
        pytest.fail(kernel.failure(path, run.error), pytrace=False)
    return judge.kept(QUICKEST, folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_kept_bears_the_seed_of_its_notebook(family):
    assert judge.kept(family).seed == json.loads(kernel.knobs(lessons.NOTEBOOKS / f"{FAMILIES[family]}.ipynb")["SEED"])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_kept_samples_are_those_that_were_judged(family, frozen):
    """A hundred of the 898 judged samples are judged again: within what a hundred draws allow."""
    kept = judge.kept(family)
    labels, confidence = frozen.read(kept.samples)
    assert float(confidence.mean()) == pytest.approx(kept.verdict.confidence, abs=0.06)
    ratio = frozen.nearest(kept.samples).median() / frozen.nearest(frozen.b_x).median()
    assert float(ratio) == pytest.approx(kept.verdict.nearest, abs=0.15)
    assert len(labels.unique()) == kept.verdict.coverage == 10


def test_making_them_again_gives_the_same(again):
    """Another processor rounds otherwise, so the bands are wide; another seed or model falls out of them."""
    kept = judge.kept(QUICKEST)
    apart = (again.samples - kept.samples).abs().mean()
    strangers = (again.samples.roll(1, 0) - kept.samples).abs().mean()  # the same digits, out of order
    assert apart < strangers / 2
    assert again.verdict.accuracy == pytest.approx(kept.verdict.accuracy, abs=0.03)
    assert again.verdict.floors == pytest.approx(kept.verdict.floors, rel=0.3)
    assert again.verdict.nearest == pytest.approx(kept.verdict.nearest, abs=0.1)


def test_a_copy_in_place_of_the_samples_would_be_noticed(digits, frozen):
    copies = digits.train_x[:100]
    ratio = frozen.nearest(copies).median() / frozen.nearest(frozen.b_x).median()
    assert all(float(ratio) != pytest.approx(judge.kept(family).verdict.nearest, abs=0.15) for family in FAMILIES)
