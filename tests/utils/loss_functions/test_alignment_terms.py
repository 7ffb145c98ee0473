"""A loss gets what its signature names, and a loss from outside the repository is refused in one clear line."""

import sys

import pytest
import torch

from configs.generic_config import get_generic_config
from configs.validation import complete_config
from utils.checkpoints.content import checked_content
from utils.errors import CheckpointError, ConfigError
from utils.loss_entry import get_loss_function, get_validation_loss_function
from utils.loss_functions.alignment_terms import SUPPLIED, AlignmentTerm, alignment_terms
from utils.registry import LOSSES

MODULE = '''
import torch
from torch.nn import functional

CONSTANT = 3.0

def spread(embeddings, margin, weight=1.0):
    """Distance of the means of all pairs of videos, up to a margin."""
    middles = torch.stack([video.mean(dim=0) for video in embeddings])
    return weight * functional.relu(margin - torch.pdist(middles)).sum() + 0 * middles.sum()

def contexts(embeddings, dropouts):
    return sum(context.square().sum() for context in dropouts) + sum(video.sum() for video in embeddings) * 0

def constant(embeddings):
    return torch.tensor(2.0)

def number(embeddings):
    return 2.0

def per_video(embeddings):
    return torch.stack([video.sum() for video in embeddings])

def nothing():
    return torch.zeros(())

def two(embeddings, others, /):
    return embeddings[0].sum()
'''


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A module of losses that isn't the repository's."""
    (tmp_path / "outside_losses.py").write_text(MODULE)
    (tmp_path / "broken_losses.py").write_text("import absent_library\n")
    (tmp_path / "failing_losses.py").write_text("\nvalue = 1 / 0\n")
    (tmp_path / "leaving_losses.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("outside_losses", "broken_losses", "failing_losses", "leaving_losses"):
        sys.modules.pop(name, None)


def custom_config(code="outside_losses:spread", parameters=None, **settings):
    values = {
        "CUSTOM_LOSSES": {"mine": code}, "LOSS_TYPE": {"GTCC": False, "mine": True},
        "CUSTOM_LOSS_PARAMS": {"mine": {"margin": 0.5} if parameters is None else parameters}, **settings,
    }  # fmt: skip
    return complete_config(values)


def batch(frames=9):
    generator = torch.Generator().manual_seed(0)
    outputs = [torch.randn(frames, 4, generator=generator, requires_grad=True) for _ in range(2)]
    times = [{"step": ["a"], "start_frame": [0], "end_frame": [frames - 1], "name": "v"} for _ in outputs]
    return {"outputs": outputs, "attentions": [], "dropouts": [torch.ones(5, requires_grad=True)] * 2}, times


class TestWhatALossGets:
    def test_what_its_signature_names_and_nothing_else(self):
        calls = []

        def loss(embeddings, *, epoch, times, generator, scale=1.0):
            calls.append((embeddings, epoch, times, generator, scale))
            return embeddings[0].sum()

        term = AlignmentTerm("mine", loss, {"scale": 2.0})
        output_dict, times = batch()
        generator = torch.Generator()
        term(output_dict["outputs"], output_dict["dropouts"], 7, times, generator)
        assert calls == [(output_dict["outputs"], 7, times, generator, 2.0)]
        assert not term.reads_dropouts

    def test_the_epoch_under_both_of_its_names(self):
        def loss(videos, epoch, global_step):
            return videos[0].sum() * (10 * epoch + global_step)

        term = AlignmentTerm("mine", loss, {})
        assert term([torch.ones(1, 1)], epoch=3) == 33

    def test_a_loss_that_takes_any_name_gets_its_settings_alone(self):
        seen = {}

        def loss(videos, **settings):
            seen.update(settings)
            return videos[0].sum()

        AlignmentTerm("mine", loss, {"anything": 1})([torch.ones(1, 1)], epoch=3)
        assert seen == {"anything": 1}

    @pytest.mark.parametrize("name", SUPPLIED)
    def test_a_setting_may_not_take_the_place_of_what_is_supplied(self, name):
        with pytest.raises(ConfigError, match=f'"GROUP.{name}".*the parameters of mine'):
            AlignmentTerm("mine", lambda videos, dropouts, epoch, global_step, times, generator: 0, {name: 1}, "GROUP")

    def test_only_gtcc_below_gamma_one_reads_dropouts_of_ours(self):
        config = get_generic_config()
        for gamma, read in ((0.95, {"GTCC"}), (1.0, set())):
            config.GTCC_PARAMS.gamma = gamma
            config.LOSS_TYPE = dict.fromkeys(LOSSES, True)
            assert {name for name, term in alignment_terms(config).items() if term.reads_dropouts} == read

    def test_of_our_losses_only_those_that_are_on_are_imported(self, run_command, tmp_path):
        script = tmp_path / "which.py"
        script.write_text(
            "import sys\nfrom configs.generic_config import get_generic_config\n"
            "from utils.loss_entry import get_loss_function\nconfig = get_generic_config()\n"
            "config.LOSS_TYPE = {'GTCC': False, 'tcc': True}\nget_loss_function(config)\n"
            "print([name for name in ('tcc', 'gtcc', 'lav', 'vava') if f'utils.loss_functions.{name}' in sys.modules])"
        )
        assert run_command(script, check=True).stdout == "['tcc']\n"


class TestOutsideLoss:
    def test_adds_to_the_losses_and_has_a_gradient(self, outside):
        config = custom_config(parameters={"margin": 50}, LOSS_TYPE={"GTCC": False, "tcc": True, "mine": True})
        output_dict, times = batch()
        losses = get_loss_function(config)(output_dict, 0, times)
        torch.testing.assert_close(losses["total_loss"], losses["tcc_loss"] + losses["mine_loss"])
        losses["mine_loss"].backward()
        assert all(output.grad.any() for output in output_dict["outputs"])
        validation = get_validation_loss_function(config)(output_dict, 0)
        torch.testing.assert_close(validation["mine_loss"], losses["mine_loss"])

    def test_is_off_until_it_is_turned_on(self, outside):
        config = complete_config({"CUSTOM_LOSSES": {"mine": "absent_module:loss"}})
        assert config.LOSS_TYPE.mine is False
        assert list(alignment_terms(config)) == ["GTCC"]

    def test_needs_the_drop_network_where_it_names_dropouts(self, outside):
        alignment_terms(custom_config("outside_losses:contexts", {}))
        config = custom_config("outside_losses:contexts", {}, ARCHITECTURE={"dropping": False})
        with pytest.raises(ConfigError, match=r"ARCHITECTURE\.dropping is False; expected True: mine needs the drop"):
            alignment_terms(config)

    @pytest.mark.parametrize(
        ("code", "parameters", "message"),
        [
            ("outside_losses", {}, r"CUSTOM_LOSSES.mine is 'outside_losses'; expected module:name"),
            ("absent_module:loss", {}, r"CUSTOM_LOSSES.mine is 'absent_module:loss'.*No module named 'absent_module'"),
            ("broken_losses:loss", {}, r"broken_losses.py, line 1: ModuleNotFoundError.*absent_library"),
            ("failing_losses:loss", {}, r"failing_losses.py, line 2: ZeroDivisionError"),
            ("leaving_losses:loss", {}, r"leaving_losses.py, line 2: SystemExit"),
            ("outside_losses:spreed", {}, r"outside_losses.py has no 'spreed'; did you mean 'spread'"),
            ("outside_losses:CONSTANT", {}, r"the loss mine is 3.0; expected a function"),
            ("outside_losses:spread", {}, r"CUSTOM_LOSS_PARAMS.mine.margin is missing; mine has no default"),
            ("outside_losses:spread", {"margn": 1.0}, r'"CUSTOM_LOSS_PARAMS.mine.margn"; did you mean.*margin"'),
            ("outside_losses:spread", {"zz": 1.0}, r"known here: margin, weight, the parameters of mine"),
            ("outside_losses:nothing", {}, r"takes no argument"),
            ("outside_losses:two", {}, r"a second argument that has no name"),
            ("torch:norm_except_dim.x", {}, r"has no 'norm_except_dim.x'"),
            ("builtins:dict", {}, r"doesn't say which parameters it takes"),
            ("..:x", {}, r"CUSTOM_LOSSES.mine is '..:x', which can't be imported"),
        ],
    )
    def test_what_cannot_be_called_is_refused_before_the_training(self, outside, code, parameters, message):
        with pytest.raises(ConfigError, match=message) as refusal:
            alignment_terms(custom_config(code, parameters))
        assert "\n" not in str(refusal.value)

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            ("number", "the loss mine returns 2.0; expected a scalar tensor"),
            ("per_video", r"returns a torch.float32 tensor of shape \(2,\)"),
            ("constant", "without a gradient"),
        ],
    )
    def test_what_it_returns_is_checked(self, outside, function, message):
        loss = get_loss_function(custom_config(f"outside_losses:{function}", {}))
        with pytest.raises(ConfigError, match=message):
            loss(*with_epoch(batch()))

    def test_without_gradients_a_constant_will_do(self, outside):
        with torch.no_grad():
            get_loss_function(custom_config("outside_losses:constant", {}))(*with_epoch(batch()))


class TestSettings:
    def test_the_order_of_the_settings_does_not_matter(self):
        config = get_generic_config()
        config.CUSTOM_LOSS_PARAMS = {"mine": {"margin": 0.5, "names": ("a", "b")}}
        config.LOSS_TYPE = {"GTCC": False, "mine": True}
        config.CUSTOM_LOSSES = {"mine": "absent_module:loss"}
        config = complete_config(config)
        assert config.LOSS_TYPE.to_dict() == dict.fromkeys(LOSSES, False) | {"mine": True}
        assert config.CUSTOM_LOSS_PARAMS.mine.to_dict() == {"margin": 0.5, "names": ("a", "b")}
        assert config.is_locked
        assert complete_config(config.to_dict()).to_dict() == config.to_dict()

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"LOSS_TYPE": {"mine": True}}, '"LOSS_TYPE.mine"'),
            ({"LOSS_TYPE": {"GTC": True}}, 'did you mean "LOSS_TYPE.GTCC"'),
            ({"CUSTOM_LOSS_PARAMS": {"mine": {}}}, '"CUSTOM_LOSS_PARAMS.mine"'),
            ({"CUSTOM_LOSSES": {"mine": 3}}, "CUSTOM_LOSSES.mine is 3; expected text"),
            ({"CUSTOM_LOSSES": 3}, "CUSTOM_LOSSES is 3; expected a group"),
            ({"CUSTOM_LOSSES": {"mine": "a:b"}, "LOSS_TYPE": {"mine": 1}}, "LOSS_TYPE.mine is 1; expected True"),
            ({"CUSTOM_LOSSES": {"mine": "a:b"}, "CUSTOM_LOSS_PARAMS": 3}, "CUSTOM_LOSS_PARAMS is 3"),
            ({"CUSTOM_LOSSES": {"mine": "a:b"}, "CUSTOM_LOSS_PARAMS": {"mine": 3}}, "CUSTOM_LOSS_PARAMS.mine is 3"),
            *(
                ({"CUSTOM_LOSSES": {name: "a:b"}}, "CUSTOM_LOSSES names a loss")
                for name in ("GTCC", "total", "alignment", "progress", "a.b", "", "with space", "items", 3, "x" * 201)
            ),
            *(
                ({"CUSTOM_LOSSES": {"mine": "a:b"}, "CUSTOM_LOSS_PARAMS": {"mine": {"p": value}}}, r"mine\.p")
                for value in (None, {}, {"a": 1}, [1, None], [[1]], float("nan"), float("inf"), 2**60, "\ud800", {1})
            ),
            *(
                ({"CUSTOM_LOSSES": {"mine": "a:b"}, "CUSTOM_LOSS_PARAMS": {"mine": {key: 1}}}, "expected a parameter")
                for key in ("a.b", "keys", "", 3)
            ),
        ],
    )  # fmt: skip
    def test_what_cannot_be_a_setting_is_refused(self, values, message):
        with pytest.raises(ConfigError, match=message):
            complete_config(values)

    def test_the_configuration_of_a_checkpoint_is_checked_without_an_import(self, tmp_path):
        path = tmp_path / "checkpoint.pt"
        path.write_bytes(b"x" * 100)

        def content(**values):
            config = {"CUSTOM_LOSSES": {"mine": "absent_module:loss"}, "LOSS_TYPE": {"mine": True}, **values}
            rest = {"epoch": 0, "loss": 1.0, "model_state_dict": {}, "feature_width": 3, "tasks": ["a"]}
            return {"config": config, **rest}

        checked = checked_content(path, content())["config"]
        assert checked["CUSTOM_LOSSES"] == {"mine": "absent_module:loss"}
        assert checked["CUSTOM_LOSS_PARAMS"] == {"mine": {}}
        for bad in ({"CUSTOM_LOSSES": {"items": "a:b"}}, {"LOSS_TYPE": {"other": True}}):
            with pytest.raises(CheckpointError, match="its configuration"):
                checked_content(path, content(**bad))


def with_epoch(batch_and_times):
    output_dict, times = batch_and_times
    return output_dict, 0, times
