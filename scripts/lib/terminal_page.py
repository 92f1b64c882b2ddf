"""A terminal's screen as a page, for a browser to take a picture of.

Reads what `tmux capture-pane -e -p` writes: text with colours (ECMA-48, SGR), a line for each row.
"""

import html
import re
import sys

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
  body {{ margin: 0; padding: 14px 16px; background: #14181d; color: #d7dde3; display: inline-block; }}
  /* As high as a full block of this font, so that bars stand on each other. */
  pre {{ margin: 0; font: 14px/16.3px "DejaVu Sans Mono", "Liberation Mono", monospace; }}
  pre span {{ display: inline-block; }}
</style>
<pre>{rows}</pre>
</html>
"""

# As most terminals have them on a dark ground.
COLOURS = ["#2a3038", "#f47067", "#57ab5a", "#d8a545", "#539bf5", "#b083f0", "#39c5cf", "#d7dde3"]
BRIGHT = ["#768390", "#ff938a", "#6bc46d", "#eac55f", "#6cb6ff", "#dcbdfb", "#56d4dd", "#ffffff"]


class Look:
    """What the text that follows looks like."""

    def __init__(self):
        self.colour = self.ground = None
        self.is_bold = self.is_faint = self.is_reversed = False

    def take(self, codes):
        codes = [int(code or 0) for code in codes.split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                self.__init__()
            elif code == 1:
                self.is_bold = True
            elif code == 2:
                self.is_faint = True
            elif code == 7:
                self.is_reversed = True
            elif code == 22:
                self.is_bold = self.is_faint = False
            elif code == 27:
                self.is_reversed = False
            elif code in (38, 48):
                colour = self.extended(codes)
                self.colour, self.ground = (colour, self.ground) if code == 38 else (self.colour, colour)
            elif code == 39:
                self.colour = None
            elif code == 49:
                self.ground = None
            elif 30 <= code < 38:
                self.colour = COLOURS[code - 30]
            elif 90 <= code < 98:
                self.colour = BRIGHT[code - 90]
            elif 40 <= code < 48:
                self.ground = COLOURS[code - 40]

    @staticmethod
    def extended(codes):
        if codes.pop(0) == 2:
            red, green, blue = codes[:3]
            del codes[:3]
            return f"rgb({red},{green},{blue})"
        number = codes.pop(0)
        return (COLOURS + BRIGHT)[number] if number < 16 else None

    def style(self):
        colour, ground = self.colour, self.ground
        if self.is_reversed:
            colour, ground = ground or "#14181d", colour or "#d7dde3"
        parts = [
            colour and f"color:{colour}",
            ground and f"background:{ground}",
            self.is_bold and "font-weight:bold",
            self.is_faint and "opacity:.65",
        ]
        return ";".join(part for part in parts if part)


def rows(screen):
    look = Look()
    for row in screen.rstrip("\n").split("\n"):
        line = ""
        for text, codes in re.findall(r"([^\x1b]+)|\x1b\[([0-9;]*)m", row):
            if text:
                style, text = look.style(), html.escape(text)
                line += f'<span style="{style}">{text}</span>' if style else text
            else:
                look.take(codes)
        yield line


if __name__ == "__main__":
    sys.stdout.write(PAGE.format(title=sys.argv[1], rows="\n".join(rows(sys.stdin.read()))))
