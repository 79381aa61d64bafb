"""Spoken commands: what is said, by whom, and espeak-ng that says it.

A small vocabulary with something like a grammar: digits, command words and short phrases. The
cast of the held-out set has accents, speakers, speeds and pitches that no training voice has.
"""

from __future__ import annotations

import io
import math
import os
import shutil
import subprocess
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from tuner.errors import SetupError

SAMPLE_RATE = 16_000  # Hz
RATE_STEP = 50  # Hz; a common divisor keeps the resampling filter short
Samples = npt.NDArray[np.int16]

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORDS = (
    *("yes", "no", "on", "off", "up", "down", "left", "right", "start", "stop", "go", "wait"),
    *("play", "pause", "next", "back", "open", "close", "louder", "quieter", "cancel", "help"),
    *("repeat", "again", "faster", "slower", "thanks", "hello"),
)
DEVICES = ("light", "lamp", "heater", "radio", "music", "camera")
ROOMS = ("kitchen", "bedroom", "garden", "office")
THINGS = ("door", "window", "garage", "blinds")
DIRECTIONS = ("left", "right", "forward", "back", "up", "down")
TEMPLATES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("turn",), ("on", "off"), ("the",), DEVICES),
    (("turn",), ("on", "off"), ("the",), ROOMS, ("light", "heater")),
    (("open", "close"), ("the",), THINGS),
    (("open", "close"), ("the",), ROOMS, ("door", "window")),
    (("go",), DIRECTIONS),
    (("go",), DIRECTIONS, DIGITS, ("steps",)),
    (("call",), DIGITS, DIGITS, DIGITS, DIGITS),
    (("volume", "channel", "timer"), DIGITS, DIGITS),
    (("play", "stop", "pause"), ("the",), ("music", "radio")),
    (("play", "repeat"), ("the",), ("next", "last"), ("song",)),
    (("set",), ("the",), ("timer", "alarm"), ("for",), DIGITS, ("minutes",)),
    (("what",), ("is",), ("the",), ("time", "weather")),
)
LONGEST_NUMBER = 6  # digits


@dataclass(frozen=True)
class Voice:
    """How a speaker sounds.

    Accent and variant are espeak-ng's, `speed` is in words a minute, `pitch` goes from 0 to 99.
    Audio is then played `playback` times as fast, which moves speed, pitch and formants at once
    (Ko et al., "Audio augmentation for speech recognition", Interspeech 2015).
    """

    accent: str
    variant: str
    speed: int
    pitch: int
    playback: float


@dataclass(frozen=True)
class Utterance:
    """`samples` of 16-bit mono audio at SAMPLE_RATE in which `voice` says `text`."""

    text: str
    voice: Voice
    samples: Samples

    @property
    def floats(self) -> npt.NDArray[np.float32]:
        """The samples from -1 to 1, as the front end's WAV decoder reads them."""
        return np.divide(self.samples, 32768, dtype=np.float32)


@dataclass(frozen=True)
class Cast:
    """Who speaks: any combination of these."""

    accents: tuple[str, ...]
    variants: tuple[str, ...]
    speeds: tuple[int, ...]
    pitches: tuple[int, ...]
    playbacks: tuple[float, ...]

    def draw(self, rng: np.random.Generator) -> Voice:
        return Voice(
            str(rng.choice(self.accents)),
            str(rng.choice(self.variants)),
            int(rng.choice(self.speeds)),
            int(rng.choice(self.pitches)),
            float(rng.choice(self.playbacks)),
        )


TRAINING = Cast(
    ("en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd"),
    (
        *("m1", "m2", "m3", "m4", "m5", "m8", "f1", "f2", "f3", "f5", "adam", "Alex", "Andy"),
        *("Annie", "belinda", "Gene", "john", "linda", "max", "Michael", "quincy", "shelby"),
        "steph",
    ),
    (150, 160, 180, 200, 220, 230),
    (30, 35, 45, 50, 55, 65, 70),
    (0.88, 0.92, 0.96, 1.0, 1.04, 1.08, 1.12),
)
HELD_OUT = Cast(("en-gb-x-rp", "en-us-nyc"), ("m6", "m7", "f4"), (170, 190, 210), (40, 60), (1.0,))


def draw_text(rng: np.random.Generator) -> str:
    """A command word, a number of one to six digits, or a phrase."""
    kind = rng.random()
    if kind < 0.3:
        return str(rng.choice(WORDS))
    if kind < 0.6:
        return " ".join(rng.choice(DIGITS, size=rng.integers(1, LONGEST_NUMBER + 1)))
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    return " ".join(str(rng.choice(choices)) for choices in template)


def utterances(count: int, cast: Cast, seed: int) -> list[Utterance]:
    """`count` of them, the same ones for the same seed.

    Raises SetupError where espeak-ng is not installed or fails.
    """
    program = require_espeak()
    rng = np.random.default_rng(seed)
    parts = [(draw_text(rng), cast.draw(rng), rng.spawn(1)[0]) for _ in range(count)]

    def speak(part: tuple[str, Voice, np.random.Generator]) -> Utterance:
        text, voice, room = part
        samples, rate = say(program, text, voice)
        return Utterance(text, voice, record(samples, rate * voice.playback, room))

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(speak, parts))


def require_espeak() -> str:
    """Path of espeak-ng; raises SetupError, with what installs it, where there is none."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise SetupError(
            "espeak-ng, which speaks the training data and the golden requests, is not installed",
            "apt-get install -y --no-install-recommends espeak-ng",
        )
    return program


def espeak_version() -> str:
    """Such as `1.51`."""
    said = subprocess.run(
        [require_espeak(), "--version"], capture_output=True, text=True, check=True
    )
    return said.stdout.partition(": ")[2].split()[0]


def say(program: str, text: str, voice: Voice) -> tuple[Samples, int]:
    """What espeak-ng makes of it, and its sample rate in Hz."""
    finished = subprocess.run(
        [
            *(program, "--stdout", "-v", f"{voice.accent}+{voice.variant}"),
            *("-s", str(voice.speed), "-p", str(voice.pitch), text),
        ],
        capture_output=True,
        check=False,
    )
    if finished.returncode or not finished.stdout:
        words = finished.stderr.decode("utf-8", "replace").strip()
        raise SetupError(f"espeak-ng failed with exit code {finished.returncode}: {words}")
    # It writes to a pipe and cannot know the length for the header; the data ends with the file.
    with wave.open(io.BytesIO(finished.stdout)) as file:
        frames = file.readframes(len(finished.stdout))
        return np.frombuffer(frames, "<i2"), file.getframerate()


def record(samples: Samples, rate: float, rng: np.random.Generator) -> Samples:
    """`samples` at `rate` Hz as a microphone some way off takes them at SAMPLE_RATE, with noise."""
    rate = RATE_STEP * round(rate / RATE_STEP)
    common = math.gcd(SAMPLE_RATE, rate)
    audio = resample_poly(samples / 32768, SAMPLE_RATE // common, rate // common)
    peak = max(float(np.abs(audio).max(initial=0)), 1e-3)
    loud = audio * (rng.uniform(0.2, 0.9) / peak)
    noise = rng.normal(0, 10 ** rng.uniform(-4, -2.5), len(audio))
    recorded: Samples = np.round(np.clip(loud + noise, -1, 1) * 32767).astype(np.int16)
    return recorded


def wav_bytes(samples: Samples) -> bytes:
    """A WAV file of 16-bit mono audio at SAMPLE_RATE."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()
