"""What firmware has to know of a polarity model: the window that it is shown, and what its answer means."""

from convert.c import literal
from convert.contract import Contract
from edge.polarity import PolarityCard

TEXT = """\
/* The window, one for each P: WINDOW samples of the vertical, positive where the ground moves up, through the
 * second-order Butterworth high-pass of the picker (whose RATE_HZ and HIGHPASS_HZ must be the same), but not
 * through its normalisation. BEFORE of them are before the sample nearest to the onset, so the last one comes
 * WINDOW - BEFORE - 1 samples after that. */
#define {P}_RATE_HZ {rate}
#define {P}_HIGHPASS_HZ {highpass}
#define {P}_WINDOW {window}
#define {P}_BEFORE {before}

/* x:  each sample over the largest absolute value in the window, then to x's integers, rounded to even and
 *     limited to -128 ... 127. A window of zeros has no first motion.
 * up: a logit. 1 / (1 + exp(-real / TEMPERATURE)) is the probability that the first motion is up, and what is
 *     left of 1 that it is down. From THRESHOLD up the likelier one is told; else, and at 0.5, it is unknown.
 * The interpreter uses the memory of its input for other things: write x before each Invoke(). */
#define {P}_NORMALISATION {normalisation}
#define {P}_TEMPERATURE {temperature}
#define {P}_THRESHOLD {threshold}"""


def polarity_contract(prefix: str, card: PolarityCard) -> Contract:
    """Of a polarity model; all names begin with `prefix`."""
    return Contract(
        kind="reader of seismic first motions",
        answer="up",
        text=TEXT.format(
            P=prefix,
            rate=literal(card.input.rate_hz),
            highpass=literal(card.input.highpass_hz),
            window=card.input.window,
            before=card.input.before,
            normalisation=literal(card.input.normalisation["name"]),
            temperature=literal(float(card.temperature)),
            threshold=literal(float(card.threshold)),
        ),
        kept=f"4 a sample of the vertical from {card.input.before} before an onset until its window is whole",
        each="a P",
        every_s=None,
    )
