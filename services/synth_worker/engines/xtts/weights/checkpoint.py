"""Loads a checkpoint's folder into modules without copying, and without running code from the file.

The file is mapped: its pages are read when a weight is first used, and are shared by all workers of a
machine. Modules are built without storage and are given the mapped weights. Nothing in the folder is
ever written.
"""

import json
import pickle
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.xtts.weights.imports import (
    GPT,
    HifiDecoder,
    ResNetSpeakerEncoder,
)
from services.synth_worker.engines.xtts.weights.location import model_path

Size = Annotated[int, msgspec.Meta(ge=1)]

# for training
_DROPPED: Final = (
    "torch_mel_spectrogram_style_encoder",
    "torch_mel_spectrogram_dvae",
    "dvae",
)
_REBUILT: Final = ("gpt_inference.", "gpt.wte.")  # copies that some checkpoints hold
# Objects other than tensors, in checkpoints of 2023 and of trainers. Empty classes replace them, so none of it is run.
_LEGACY: Final = (
    "TTS.tts.configs.xtts_config.XttsConfig",
    "TTS.tts.configs.xtts_config.XttsArgs",
    "TTS.tts.configs.xtts_config.XttsAudioConfig",
    "TTS.tts.models.xtts.XttsArgs",
    "TTS.tts.models.xtts.XttsAudioConfig",
    "TTS.config.shared_configs.BaseDatasetConfig",
    "TTS.tts.layers.xtts.trainer.gpt_trainer.GPTArgs",
    "TTS.tts.layers.xtts.trainer.gpt_trainer.GPTTrainerConfig",
    "TTS.tts.layers.xtts.trainer.gpt_trainer.XttsAudioConfig",
    "numpy._core.multiarray.scalar",  # the losses that a trainer notes
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "pathlib.PosixPath",
    "pathlib._local.PosixPath",
)
_ADVICE: Final = "fetch it again, or set XTTS_MODEL_DIR to a folder with the released files"


class ModelArgs(msgspec.Struct, frozen=True):
    """The fields of config.json's `model_args` that are used.

    Fields that a configuration lacks have the defaults of coqui-tts's XttsArgs, as in stock.
    """

    gpt_layers: Size = 30
    gpt_n_model_channels: Size = 1024
    gpt_n_heads: Size = 16
    gpt_max_audio_tokens: Size = 605
    gpt_max_text_tokens: Size = 402
    gpt_max_prompt_tokens: Size = 70
    gpt_num_audio_tokens: Size = 8194
    gpt_start_audio_token: Size = 8192
    gpt_stop_audio_token: Size = 8193
    gpt_code_stride_len: Size = 1024
    input_sample_rate: Size = 22_050
    output_sample_rate: Size = 24_000
    output_hop_length: Size = 256
    decoder_input_dim: Size = 1024
    d_vector_dim: Size = 512
    gpt_use_perceiver_resampler: bool = False
    cond_d_vector_in_each_upsampling_layer: bool = True
    gpt_start_text_token: int | None = None
    gpt_stop_text_token: int | None = None


class Config(msgspec.Struct, frozen=True):
    """The fields of config.json that are used; lengths in seconds.

    Fields that a configuration lacks have the defaults of coqui-tts's XttsConfig, as in stock.
    """

    model_args: ModelArgs
    gpt_cond_len: Size = 12
    gpt_cond_chunk_len: Size = 4
    max_ref_len: Size = 10
    sound_norm_refs: bool = False
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 0.85
    top_k: Annotated[int, msgspec.Meta(ge=0)] = 50
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.85
    repetition_penalty: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    length_penalty: float = 1.0


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The modules of coqui-tts with the weights of one checkpoint, in evaluation mode."""

    config: Config
    gpt: Any  # GPT, with its conditioning encoder
    vocoder: Any  # HifiDecoder
    speaker_encoder: Any  # ResNetSpeakerEncoder
    mel_stats: Tensor  # [80], on the CPU, where spectra are computed

    def on(self, device: torch.device) -> "Checkpoint":
        """Move the modules to a device."""
        self.gpt.to(device)
        self.vocoder.to(device)
        return self

    def without_blocks(self) -> "Checkpoint":
        """Remove the decoder's transformer blocks, of which a GPU holds the packed copy; conditioning needs none."""
        self.gpt.gpt.h = nn.ModuleList()
        return self

    @property
    def device(self) -> torch.device:
        """Return the device of the modules."""
        device: torch.device = self.gpt.mel_head.weight.device
        return device


def load(folder: Path, start_text_id: int, stop_text_id: int, tokens: int) -> Checkpoint:
    """Read config.json and the weights (`model_path`); the ids and the number of tokens are the vocabulary's.

    Raises EngineUnavailable, with the reason.
    """
    config = _config(folder / "config.json")
    path = model_path(folder)
    weights = _weights(path)
    try:
        rows = len(weights["gpt.text_embedding.weight"])
        if tokens > rows:
            raise ValueError(
                f"its text embedding has {rows} rows and vocab.json {tokens} tokens, so the files are of different "
                "revisions"
            )
        gpt = _gpt(config.model_args, weights, start_text_id, stop_text_id)
        vocoder = _vocoder(config.model_args, weights)
        mel_stats = weights["mel_stats"]
    except (
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:  # about names, shapes and sizes only
        raise EngineUnavailable(
            f"{path} is not an XTTS-v2 checkpoint: {error}; {_ADVICE}"
        ) from error
    return Checkpoint(config, gpt, vocoder, vocoder.speaker_encoder, mel_stats)


class _Ignored:
    """Stands for an object that is not read; takes whatever such an object is built of."""

    def __init__(self, *arguments: object) -> None:
        """Ignore the arguments."""

    def __setstate__(self, state: object) -> None:
        """Ignore the state."""


def _config(path: Path) -> Config:
    try:
        # Python's, which allows Infinity
        return msgspec.convert(json.loads(path.read_text("utf-8")), type=Config)
    except OSError as error:
        raise EngineUnavailable(f"{path} cannot be read: {error.strerror}; {_ADVICE}") from error
    except ValueError as error:  # bad JSON, bad UTF-8 and msgspec's are all of this kind
        raise EngineUnavailable(
            f"{path} is not the configuration of an XTTS-v2 model: {error}; {_ADVICE}"
        ) from error


def _weights(path: Path) -> dict[str, Tensor]:
    allowed: list[Any] = [(type(name, (_Ignored,), {}), name) for name in _LEGACY]
    try:
        path.open("rb").close()
    except OSError as error:
        raise EngineUnavailable(f"{path} cannot be read: {error.strerror}; {_ADVICE}") from error
    _require_whole(path)
    try:
        with torch.serialization.safe_globals(allowed):
            stored = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        weights: dict[str, Tensor] = msgspec.convert(stored["model"], dict[str, Tensor])
    except (
        RuntimeError,
        OSError,
        pickle.UnpicklingError,
        LookupError,
        TypeError,
        ValueError,
        EOFError,
    ) as error:
        if isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(
            path
        ):  # so it is complete
            raise EngineUnavailable(_convert_advice(path)) from error
        raise EngineUnavailable(
            f"{path} is damaged, truncated or not a checkpoint; {_ADVICE}"
        ) from error
    named = {name.removeprefix("xtts."): weight for name, weight in weights.items()}
    return {
        name: weight.float()
        if weight.is_floating_point()
        else weight  # float32 as released stays mapped
        for name, weight in named.items()
        if name.partition(".")[0] not in _DROPPED
    }


def _require_whole(path: Path) -> None:
    """Check the file against the checksums inside it, which `torch.load` ignores; 1.9 GB in about 2 s.

    A checkpoint is a zip archive, with a CRC-32 of every tensor. Raises EngineUnavailable for a damaged one.
    """
    if not zipfile.is_zipfile(path):
        return  # `torch.load` reports what it is
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError, zlib.error):
        damaged = "its table of contents"
    if damaged is not None:
        raise EngineUnavailable(
            f"{path} is damaged: {damaged} does not match its checksum; {_ADVICE}"
        )


def _convert_advice(path: Path) -> str:
    return (
        f"{path} contains more than weights, which is not run here; if you trust its source, write a folder with "
        "only the weights, config.json and vocab.json, and set XTTS_MODEL_DIR to it: "
        f"python -c \"import torch; torch.save({{'model': torch.load('{path}', weights_only=False)['model']}}, "
        "'NEW_FOLDER/model.pth')\""
    )


def _gpt(
    args: ModelArgs, weights: Mapping[str, Tensor], start_text_id: int, stop_text_id: int
) -> Any:
    with torch.device("meta"):
        gpt = GPT(
            layers=args.gpt_layers,
            model_dim=args.gpt_n_model_channels,
            heads=args.gpt_n_heads,
            start_text_token=start_text_id,
            stop_text_token=stop_text_id,
            max_text_tokens=args.gpt_max_text_tokens,
            max_mel_tokens=args.gpt_max_audio_tokens,
            max_prompt_tokens=args.gpt_max_prompt_tokens,
            number_text_tokens=len(weights["gpt.text_embedding.weight"]),
            num_audio_tokens=args.gpt_num_audio_tokens,
            start_audio_token=args.gpt_start_audio_token,
            stop_audio_token=args.gpt_stop_audio_token,
            use_perceiver_resampler=args.gpt_use_perceiver_resampler,
            code_stride_len=args.gpt_code_stride_len,
        )
    return _filled(gpt, weights, "gpt.")


def _vocoder(args: ModelArgs, weights: Mapping[str, Tensor]) -> Any:
    """Build the vocoder and the speaker encoder, whose sizes are inferred from the weights."""
    prefix = "hifigan_decoder."
    layers, channels = _encoder_sizes(weights, f"{prefix}speaker_encoder.")
    with _Undrawn():  # with storage, unlike the decoder: torchaudio computes filters in it
        vocoder = HifiDecoder(
            input_sample_rate=args.input_sample_rate,
            output_sample_rate=args.output_sample_rate,
            output_hop_length=args.output_hop_length,
            ar_mel_length_compression=args.gpt_code_stride_len,
            decoder_input_dim=args.decoder_input_dim,
            upsample_initial_channel_decoder=len(
                weights[f"{prefix}waveform_decoder.conv_pre.weight"]
            ),
            d_vector_dim=args.d_vector_dim,
            cond_d_vector_in_each_upsampling_layer=args.cond_d_vector_in_each_upsampling_layer,
        )
        vocoder.speaker_encoder = ResNetSpeakerEncoder(
            input_dim=64,
            proj_dim=args.d_vector_dim,
            layers=layers,
            num_filters=channels,
            log_input=True,
            use_torch_spec=True,
            audio_config=vocoder.speaker_encoder_audio_config,
        )
    return _filled(vocoder, weights, prefix)


class _Undrawn(TorchFunctionMode):
    """Skips the random initialization of new modules, which would waste half a second."""

    def __torch_function__(
        self,
        function: Any,
        types: Any,
        arguments: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        if function in _DRAWING:
            return arguments[0]
        return function(*arguments, **(named or {}))


_DRAWING: Final = frozenset({Tensor.uniform_, Tensor.normal_})


def _encoder_sizes(weights: Mapping[str, Tensor], prefix: str) -> tuple[list[int], list[int]]:
    """Return how many blocks each of the four stages has, and how many channels."""
    stages = [f"{prefix}layer{stage}." for stage in range(1, 5)]
    blocks = [
        {name[len(stage) :].partition(".")[0] for name in weights if name.startswith(stage)}
        for stage in stages
    ]
    return [len(found) for found in blocks], [
        len(weights[f"{stage}0.conv1.weight"]) for stage in stages
    ]


def _filled(module: nn.Module, weights: Mapping[str, Tensor], prefix: str) -> nn.Module:
    """Assign weights to a module without storage. Raises RuntimeError if they do not match."""
    own = {
        name.removeprefix(prefix): weight
        for name, weight in weights.items()
        if name.startswith(prefix)
    }
    own = {name: weight for name, weight in own.items() if not name.startswith(_REBUILT)}
    module.load_state_dict(own, assign=True)
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        # of another release of coqui-tts
        raise RuntimeError(f"{prefix} has parts that no checkpoint contains")
    return module.eval().requires_grad_(False)  # torch's own signature
