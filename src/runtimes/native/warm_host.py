# A Python that waits for work, inside of the sandbox. It loads modules once, and forks for every input of one node run; then it is thrown away.
# Its standard output is a socket to the engine. Frames both ways: the length of a JSON object (4 bytes, little-endian), the object, and as
# many bytes as the object's `bytes` says.
import gc
import json
import linecache
import os
import random
import resource
import select
import signal
import sys
import traceback

CHUNK = 65536
# How often processes that have lost their parent are taken away, in milliseconds.
REAP_MS = 100


def read(count):
    data = bytearray()
    while len(data) < count:
        part = os.read(channel, min(CHUNK, count - len(data)))
        if not part:
            os._exit(0)
        data += part
    return bytes(data)


def receive():
    head = json.loads(read(int.from_bytes(read(4), "little")))
    return head, read(head.get("bytes", 0))


def send(head, data=b""):
    text = json.dumps({**head, "bytes": len(data)}).encode()
    view = memoryview(len(text).to_bytes(4, "little") + text + data)
    while view:
        view = view[os.write(channel, view):]


def become_the_program(job, stdin, stdout):
    """In the forked process. Never comes back."""
    code = 1
    try:
        os.close(channel)
        os.setsid()
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.closerange(3, 256)
        resource.setrlimit(resource.RLIMIT_DATA, (job["reserved_bytes"], job["reserved_bytes"]))
        # What was drawn before the fork would be the same in every one.
        random.seed()
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        os.environ.update(job["env"])
        sys.argv = [job["path"]]
        main = type(sys)("__main__")
        main.__file__ = job["path"]
        sys.modules["__main__"] = main
        linecache.cache[job["path"]] = (len(job["source"]), None, job["source"].splitlines(True), job["path"])
        exec(compile(job["source"], job["path"], "exec", dont_inherit=True), main.__dict__)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if code == 1 and end.code != 1:
            print(end.code, file=sys.stderr)
    except BaseException as error:
        # Without the frame of this function.
        trace = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(type(error), error, trace)
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:
                code = code or 1
        os._exit(code & 0xFF)


class Used:
    """What the processes of a run have used, those that it has left behind among them: they come to this process."""

    def __init__(self, program):
        self.program, self.status, self.cpu_s, self.peak_kib = program, None, 0.0, 0

    def reap(self, flags):
        """Takes away one that has ended; false if there is none."""
        try:
            process, status, usage = os.wait4(-1, flags)
        except ChildProcessError:
            return False
        if process == 0:
            return False
        if process == self.program:
            self.status = status
        self.cpu_s += usage.ru_utime + usage.ru_stime
        self.peak_kib = max(self.peak_kib, usage.ru_maxrss)
        return True


def end_all():
    """All processes of this namespace but the first and this one."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(job, data):
    (stdin, feed), (take, stdout) = os.pipe(), os.pipe()
    process = os.fork()
    if process == 0:
        become_the_program(job, stdin, stdout)
    os.close(stdin)
    os.close(stdout)
    os.set_blocking(feed, False)
    written, taken = memoryview(data), bytearray()
    poll = select.poll()
    poll.register(take, select.POLLIN)
    poll.register(feed, select.POLLOUT)
    pidfd = os.pidfd_open(process)
    poll.register(pidfd, select.POLLIN)
    used = Used(process)
    feeding = True
    is_over = False
    while not is_over:
        while used.reap(os.WNOHANG):
            pass
        for fd, _ in poll.poll(REAP_MS):
            if fd == take:
                part = os.read(take, CHUNK)
                taken += part
                if not part:
                    poll.unregister(take)
                if len(taken) > job["output_bytes"]:
                    is_over = True
            elif fd == feed and feeding:
                try:
                    written = written[os.write(feed, written[:CHUNK]):]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    written = written[:0]
                if not written:
                    poll.unregister(feed)
                    os.close(feed)
                    feeding = False
            elif fd == pidfd:
                is_over = True
    # Whatever it has started ends with it.
    end_all()
    while used.reap(0):
        end_all()
    os.set_blocking(take, False)
    while len(taken) <= job["output_bytes"]:
        try:
            part = os.read(take, CHUNK)
        except BlockingIOError:
            break
        if not part:
            break
        taken += part
    for fd in (take, pidfd) + ((feed,) if feeding else ()):
        os.close(fd)
    code = os.waitstatus_to_exitcode(used.status)
    head = {
        "exit_code": code if code >= 0 else None,
        "signal": -code if code < 0 else None,
        "cpu_ms": used.cpu_s * 1000,
        "memory_peak_bytes": used.peak_kib * 1024,
    }
    if len(taken) > job["output_bytes"]:
        send({**head, "is_too_large": True})
    else:
        send({**head, "is_too_large": False}, bytes(taken))


channel = os.dup(1)
null = os.open("/dev/null", os.O_RDWR)
os.dup2(null, 1)
os.close(null)
for module in sys.argv[1:]:
    __import__(module)
gc.collect()
gc.freeze()
send({"ready": True})
job, _ = receive()
while True:
    _, data = receive()
    run(job, data)
