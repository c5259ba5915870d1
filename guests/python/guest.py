"""The Python guest: compiles a source once and runs it over variables, JSON in, JSON out. Booted and snapshotted when it is
installed; guest.wit says how the host calls it.

A source with a `return` at top level is the body of a function; any other is a module. When it ends without a `return` and has
defined `main`, that is called with `input`."""

import ast
import builtins
import datetime
import gc
import importlib
import inspect
import io
import json
import os
import random
import sys

import wit_world
from componentize_py_types import Err

# The name of every source, which marks its frames.
FILE = "code.py"
# Names that no source can write: of the function around a body, and of what its last line calls.
BODY, END, VARIABLES = "<module>", "<end>", "<variables>"
# Levels of lines, as guest.wit has them.
INFO, ERROR = 1, 3
# A line that is longer than this is written in pieces, so that output without newlines does not pile up.
LINE_CHARACTERS_MAX = 16_384
# What is kept of an error's message.
MESSAGE_CHARACTERS_MAX = 10_000
# Frames of a stack that are told: the innermost of an endless recursion.
FRAMES_MAX = 20

# Sizes of what `settle` fills holes with, how many in a row lie behind all others when there are no more, and what fills them.
HOLES, HOLE_ROW, FILLED = (4096, 2048, 1024, 512, 256, 128, 96, 64, 48, 32, 16, 8, 0), 100, []
# What runs before the snapshot, and how often.
WARM_UPS = 100
WARM_UP = """
import datetime
def total(item):
    return item["price"] * item.get("count", 1)
names = sorted({str(item["name"]).upper() for item in input if item["price"] > 1.5})
return [{**item, "id": item["id"], "total": total(item), "text": f"{item['name']}: {round(total(item), 2)}"} for item in input]
"""
WARM_UP_INPUT = [{"id": id, "name": f"item {id}", "price": 1.5 * id, "count": id + 1, "tags": ["a", None, True]} for id in range(10)]
# Memory that an instance has at hand.
SPARE_BYTES = 4 * 1024 * 1024

# What code can import: a sandbox has no files, so what is not in memory now will never be.
MODULES = """
abc argparse array asyncio base64 binascii bisect bz2 calendar cmath codecs collections.abc colorsys concurrent.futures
configparser contextlib contextvars copy csv dataclasses decimal difflib email.mime.multipart email.mime.text email.parser
email.policy email.utils enum fnmatch fractions functools gettext glob graphlib gzip hashlib heapq hmac html.entities html.parser
http.client http.cookies importlib.metadata importlib.resources ipaddress itertools keyword linecache locale logging.handlers
lzma math mimetypes numbers operator optparse os.path pathlib pickle plistlib pprint queue quopri re reprlib sched secrets shlex
shutil signal socket sqlite3 ssl stat statistics string.templatelib stringprep struct tempfile textwrap threading time timeit
token tokenize tomllib traceback types typing unicodedata unittest.mock urllib.error urllib.parse urllib.request uuid warnings
wave weakref xml.dom.minidom xml.etree.ElementTree xml.sax.saxutils zipfile zlib zoneinfo
_strptime _pydecimal encodings.ascii encodings.base64_codec encodings.big5 encodings.charmap encodings.cp1252 encodings.cp437
encodings.cp850 encodings.euc_jp encodings.gbk encodings.hex_codec encodings.idna encodings.iso8859_15 encodings.latin_1
encodings.punycode encodings.raw_unicode_escape encodings.rot_13 encodings.shift_jis encodings.unicode_escape encodings.utf_16
encodings.utf_16_be encodings.utf_16_le encodings.utf_32 encodings.utf_32_be encodings.utf_32_le encodings.utf_7
encodings.utf_8_sig encodings.zlib_codec
""".split()


def load_modules():
    """Loads every module that this build of Python can load."""
    for module in MODULES:
        try:
            importlib.import_module(module)
        except ImportError:
            pass  # Like ssl: not in a Python for WebAssembly. Code that imports it is told so.


class Stream(io.TextIOBase):
    """Hands text to the host line by line."""

    def __init__(self, level):
        self.level, self.pieces, self.length = level, [], 0

    encoding = "utf-8"

    def writable(self):
        return True

    def write(self, text):
        *lines, rest = text.split("\n")
        for line in lines:
            self.pieces.append(line)
            self.end_line()
        if rest:
            self.pieces.append(rest)
            self.length += len(rest)
            if self.length > LINE_CHARACTERS_MAX:
                self.end_line()
        return len(text)

    def end_line(self):
        line = well_formed("".join(self.pieces))
        self.pieces, self.length = [], 0
        wit_world.log(self.level, line)

    def finish(self):
        if self.pieces:
            self.end_line()


class Response:
    """What `fetch` returns. The whole body is there already, as bytes."""

    def __init__(self, url, status, ok, headers, body):
        self.url, self.status, self.ok, self.headers, self.body = url, status, ok, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)


def fetch(url, options=None, *, method=None, headers=None, body=b""):
    """Sends an HTTP request. `options` may hold the other arguments, too. The host refuses it where the network was not granted."""
    if options is not None:
        return fetch(url, **{"method": method, "headers": headers, "body": body, **options})
    if body is None:
        body = b""
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError("the body has to be a text or bytes: json.dumps makes a text of anything else")
    head, answer = wit_world.fetch(json.dumps({"url": str(url), "method": method, "headers": headers}), bytes(body))
    told = json.loads(head)
    if "error" in told:
        raise ConnectionError(f"fetch failed: {told['error']}")
    return Response(**told, body=answer)


class Ended:
    """What a body that has ended without a `return` leaves: its variables."""

    def __init__(self, variables):
        self.variables = variables


def well_formed(text):
    """Replaces halves of surrogate pairs, which UTF-8 cannot hold, by U+FFFD, and joins whole pairs."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def returns(statements):
    """Whether there is a `return` among statements that belongs to them, not to a function in them."""
    for statement in statements:
        if isinstance(statement, ast.Return):
            return True
        if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for block in BLOCKS:
                if returns(getattr(statement, block, ())):
                    return True
    return False


def compile_source(source):
    """Compiles a source; a body becomes a function of the name BODY. Lines and columns stay the source's."""
    tree = source
    if "return" in source:
        tree = ast.parse(source, FILE)
        if returns(tree.body):
            AROUND.body[0].body = [*tree.body, END_OF_BODY]
            tree = AROUND
    try:
        code = compile(tree, FILE, "exec", dont_inherit=True)
    finally:
        AROUND.body[0].body = []
    for constant in code.co_consts:
        if inspect.iscode(constant) and constant.co_name == BODY and constant.co_flags & inspect.CO_GENERATOR:
            raise SyntaxError("'yield' outside function", (FILE, constant.co_firstlineno, 1, None))
    return code


def awaited(value):
    """The result of a coroutine that waits for nothing: there is nothing outside that it could wait for."""
    if not inspect.iscoroutine(value):
        return value
    try:
        value.send(None)
    except StopIteration as end:
        return end.value
    value.close()
    raise RuntimeError("the coroutine waits for something that never happens")


def around_body():
    """The function around a body, as a module, and its last line."""
    module = ast.parse("def body(): return end(variables())")
    function = module.body[0]
    end = function.body[0]
    function.name, end.value.func.id, end.value.args[0].func.id = BODY, END, VARIABLES
    return module, end


# Where statements have others in them.
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
AROUND, END_OF_BODY = around_body()


def run(code, variables):
    scope = {"__name__": "__main__", "__builtins__": builtins, END: Ended, VARIABLES: locals, **variables}
    exec(code, scope)
    body = scope.pop(BODY, None)
    value = Ended(scope) if body is None else body()
    if not isinstance(value, Ended):
        return awaited(value)
    main = value.variables.get("main")
    return awaited(main(variables.get("input"))) if callable(main) else None


def json_of(value):
    """What JSON has no type for, as JavaScript writes it."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    raise TypeError(f"an object of type {type(value).__name__} is no JSON")


ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=json_of)


def frames_of(error):
    """The calls in the source that led to an error, innermost first, as `at NAME (FILE:LINE:COLUMN)`."""
    frames, at = [], error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if code.co_filename == FILE:
            frames.append((code, at.tb_lasti, at.tb_lineno))
        at = at.tb_next
    lines = []
    for code, instruction, line in frames[: -FRAMES_MAX - 1 : -1]:
        position = next(p for index, p in enumerate(code.co_positions()) if index == instruction // 2)
        lines.append(f"at {code.co_name} ({FILE}:{line}:{(position[2] or 0) + 1})")
    return lines


def describe(error):
    """An error as guest.wit has it."""
    lines = frames_of(error)
    try:
        message = str(error)[:MESSAGE_CHARACTERS_MAX]
    except Exception:
        message = "(its message cannot be made)"  # The class of the error is the user's, too.
    if isinstance(error, SyntaxError) and error.filename == FILE:
        message = error.msg
        lines = [f"at {FILE}:{error.lineno}:{error.offset or 1}"] if error.lineno else lines
    return well_formed(json.dumps({"name": type(error).__name__, "message": message, "stack": "\n".join(lines)}, ensure_ascii=False))


class WitWorld(wit_world.WitWorld):
    """What the host calls."""

    code = None

    def prepare(self, source, environment):
        # The snapshot has frozen the generator.
        random.seed()
        for name, value in environment:
            os.environ[name] = value
        sys.stdout, sys.stderr = Stream(INFO), Stream(ERROR)
        try:
            WitWorld.code = compile_source(source)
        except BaseException as error:
            raise Err(describe(error))

    def call(self, variables):
        output, errors = sys.stdout, sys.stderr
        try:
            value = run(WitWorld.code, json.loads(variables))
            return well_formed(ENCODER.encode(value))
        except BaseException as error:
            raise Err(describe(error))
        finally:
            output.finish()
            errors.finish()


def settle():
    """Makes the snapshot one of which a run touches little: every page that it writes to is copied for it."""
    # The interpreter adapts code that runs often, and keeps what it has looked up: all of that is in the snapshot.
    for _ in range(WARM_UPS):
        world = WitWorld()
        world.prepare(WARM_UP, [])
        world.call(json.dumps({"input": WARM_UP_INPUT}))
    WitWorld.code, sys.stdout, sys.stderr = None, sys.__stdout__, sys.__stderr__
    # No search for cycles looks at what is there now.
    gc.collect()
    gc.freeze()
    # What is free between the objects of the boot is taken, so that the objects of a run lie together, behind all others.
    for size in HOLES:
        behind, highest = 0, 0
        while behind < HOLE_ROW:
            hole = bytes(size) if size else object()
            FILLED.append(hole)
            behind, highest = (behind + 1, id(hole)) if id(hole) > highest else (0, highest)
    # That memory need not grow in a small run.
    bytearray(SPARE_BYTES)


load_modules()
builtins.fetch = fetch
settle()
