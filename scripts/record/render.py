"""Draws an asciinema cast (version 2) as frames: one PNG for each change of the screen, and a list of
them with their durations, as ffmpeg's concat demuxer reads it.

usage: render.py CAST FOLDER
"""

import json
import pathlib
import sys

import pyte
from PIL import Image, ImageDraw, ImageFont

FONTS = pathlib.Path("/usr/share/fonts/truetype/dejavu")
FONT_SIZE = 16
PADDING = 12
# Changes that follow each other faster are one frame: nobody sees them, and files stay small.
FRAME_S_MIN = 0.08
# Nobody looks at a still screen for longer, but what came last is to be read.
STILL_S_MAX = 4.0
LAST_S = 6.0

BACKGROUND = "#11151c"
COLOURS = {
    "default": "#d5dae3",
    "black": "#11151c",
    "red": "#ff7b72",
    "green": "#6fdd8b",
    "brown": "#e8c268",
    "yellow": "#e8c268",
    "blue": "#79b8ff",
    "magenta": "#d2a8ff",
    "cyan": "#6fd3e3",
    "white": "#ffffff",
    "brightblack": "#8b94a5",
}


def read(path):
    """The header of a cast, and its output as pairs of time and text, long pauses cut."""
    with open(path, encoding="utf-8") as lines:
        header = json.loads(next(lines))
        events = [json.loads(line) for line in lines]
    output, now, before = [], 0.0, 0.0
    for time, kind, text in events:
        now += min(time - before, STILL_S_MAX)
        before = time
        if kind == "o":
            # pyte does not know "faint"; this is as grey.
            output.append((now, text.replace("\x1b[2m", "\x1b[90m")))
    return header, output


def screens(header, output):
    """The screen after each frame's worth of output, with the time at which it appeared."""
    screen = pyte.Screen(header["width"], header["height"])
    stream = pyte.Stream(screen)
    shown = None
    for index, (time, text) in enumerate(output):
        stream.feed(text)
        is_last = index + 1 == len(output)
        if not is_last and output[index + 1][0] - (shown or 0.0) < FRAME_S_MIN:
            continue
        shown = time
        yield time, screen


class Brush:
    """Draws screens of one size."""

    def __init__(self, columns, rows):
        self.regular = ImageFont.truetype(str(FONTS / "DejaVuSansMono.ttf"), FONT_SIZE)
        self.bold = ImageFont.truetype(str(FONTS / "DejaVuSansMono-Bold.ttf"), FONT_SIZE)
        self.cell_width = round(self.regular.getlength("M"))
        ascent, descent = self.regular.getmetrics()
        self.cell_height = ascent + descent
        # yuv420p wants even sizes.
        self.size = (
            (columns * self.cell_width + 2 * PADDING + 1) // 2 * 2,
            (rows * self.cell_height + 2 * PADDING + 1) // 2 * 2,
        )

    def draw(self, screen):
        image = Image.new("RGB", self.size, BACKGROUND)
        draw = ImageDraw.Draw(image)
        for row in range(screen.lines):
            for column in range(screen.columns):
                character = screen.buffer[row][column]
                if character.data in ("", " "):
                    continue
                x = PADDING + column * self.cell_width
                y = PADDING + row * self.cell_height
                font = self.bold if character.bold else self.regular
                colour = COLOURS.get(character.fg, COLOURS["default"])
                if character.bold and character.fg == "default":
                    colour = COLOURS["white"]
                draw.text((x, y), character.data, font=font, fill=colour)
        return image


def main():
    cast, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    header, output = read(cast)
    brush = Brush(header["width"], header["height"])
    frames = []
    before = None
    for time, screen in screens(header, output):
        image = brush.draw(screen)
        if before is not None and image.tobytes() == before:
            continue
        before = image.tobytes()
        name = f"{len(frames):05}.png"
        image.save(folder / name)
        frames.append((time, name))
    lines = ["ffconcat version 1.0"]
    for index, (time, name) in enumerate(frames):
        is_last = index + 1 == len(frames)
        duration = LAST_S if is_last else frames[index + 1][0] - time
        lines += [f"file {name}", f"duration {duration:.3f}"]
    # The demuxer takes the last duration from the file after it.
    lines.append(f"file {frames[-1][1]}")
    (folder / "frames.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(frames)} frames, {frames[-1][0] + LAST_S:.0f} s")


if __name__ == "__main__":
    main()
