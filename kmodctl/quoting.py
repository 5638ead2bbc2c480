# SPDX-License-Identifier: Apache-2.0
"""How kmod's tools read words: the options in an environment variable, a module's parameters."""

_QUOTES = "\"'"


def split_options(text: str) -> list[str]:
    """Return the words of $MODPROBE_OPTIONS (modprobe(8)).

    Blanks part them; quotes of either kind keep blanks and are dropped, also within a word. Those
    that a word begins with also end it; one that does not end stays, with all that follows. Unlike
    in kmod two blanks make no empty word, which would be taken for a module.
    """
    words: list[str] = []
    word = ""
    rest = text
    while rest:
        letter, rest = rest[0], rest[1:]
        if letter in _QUOTES and letter in rest:
            begins = not word
            inside, _, rest = rest.partition(letter)
            word += inside
            if begins:
                words.append(word)
                word = ""
        elif letter in _QUOTES:
            word += letter + rest
            rest = ""
        elif letter == " ":
            words.append(word)
            word = ""
        else:
            word += letter
    return [each for each in (*words, word) if each]


def join_parameters(words: list[str]) -> str:
    """Return a module's parameters as the kernel reads them: a value with blanks in quotes.

    Empty words before the first parameter add nothing, as in kmod; one between two adds a blank.
    """
    first = next((at for at, word in enumerate(words) if word), len(words))
    return " ".join(map(_quoted, words[first:]))


def _quoted(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    if not equals or " " not in value or value[0] in _QUOTES:
        return parameter
    return f'{name}="{value}"'
