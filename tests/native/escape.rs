//! What code tries in order to get out of its sandbox, and that it does not.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use citadel::runtimes::code::{CodeErrorCode, CodeLimits};
use serde_json::{Value, json};

use crate::support::{Run, World, eventually, full, processes_with, reduced, secret_file};

/// Both kinds of sandbox.
fn both() -> [&'static World; 2] {
    [full(), reduced()]
}

#[test]
fn reads_no_file_of_the_machine_that_it_was_not_given() {
    for world in both() {
        let secret = secret_file(world.data_dir.path());
        let readable = world.data_dir.path().to_owned();
        std::fs::set_permissions(&readable, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let program = env!("CARGO_BIN_EXE_citadel");
        let paths = ["/etc/passwd", "/etc/shadow", "/etc/hostname", "/var/log", program, secret.to_str().unwrap()];
        for path in paths {
            let said = world.bash(&format!("cat '{path}' && echo GOT IT; ls '{path}/' && echo GOT IT"));
            assert!(!said.contains("GOT IT") && !said.contains("s3cret"), "{path}: {said}");
        }
    }
    // With a file system of its own it does not even learn that they exist.
    assert_eq!(full().bash("ls -d /etc/passwd /var /root /home /sys 2> /dev/null"), "");
}

#[test]
fn links_and_proc_lead_nowhere() {
    for world in both() {
        let secret = secret_file(world.data_dir.path());
        let source = format!(
            "ln -s /etc/passwd /tmp/a; cat /tmp/a && echo GOT IT
             ln -s {secret} /tmp/b; cat /tmp/b && echo GOT IT
             for place in root cwd; do
               cat /proc/1/$place/etc/passwd && echo GOT IT
               cat /proc/self/$place/etc/passwd && echo GOT IT
             done
             cat /proc/self/cwd/../../../../../etc/passwd && echo GOT IT
             cat /code/../../../etc/passwd && echo GOT IT
             cat /proc/1/environ && echo GOT IT
             head -c 1 /proc/1/mem && echo GOT IT
             ls -l /proc/1/fd/ && echo GOT IT
             cat /proc/kcore && echo GOT IT
             cat /proc/kallsyms && echo GOT IT
             echo x > /proc/sys/kernel/core_pattern && echo GOT IT
             echo b > /proc/sysrq-trigger && echo GOT IT
             cat /proc/mounts | grep {data} && echo GOT IT",
            secret = secret.display(),
            data = world.data_dir.path().display(),
        );
        let said = world.bash(&source);
        assert!(!said.contains("GOT IT") && !said.contains("root:"), "{said}");
    }
}

#[test]
fn reaches_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let source = format!(
        "import socket\n\
         for family, address in [(socket.AF_INET, ('127.0.0.1', {port})), (socket.AF_INET, ('169.254.169.254', 80)),\n\
         \x20                       (socket.AF_INET6, ('::1', {port})), (socket.AF_UNIX, '/run/dbus/system_bus_socket')]:\n\
         \x20   for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n\
         \x20       try:\n\
         \x20           socket.socket(family, kind).connect(address)\n\
         \x20           print('GOT IT', address)\n\
         \x20       except OSError as error:\n\
         \x20           print(error.errno)\n"
    );
    for world in both() {
        assert_eq!(world.python(&source), "1\n".repeat(8), "EPERM for each");
        let said = world.bash(&format!(
            "echo hi > /dev/tcp/127.0.0.1/{port} && echo GOT IT; echo > /dev/udp/169.254.169.254/80 && echo GOT IT"
        ));
        assert!(!said.contains("GOT IT"), "{said}");
    }
    assert!(listener.accept().is_err(), "somebody has connected");
}

#[test]
fn a_fork_bomb_ends_within_its_limits() {
    for (world, word) in [(full(), "bomb_full"), (reduced(), "bomb_reduced")] {
        let source = format!("{word}() {{ {word} | {word} & }}; {word}; sleep 8642");
        let limits = CodeLimits { wall_ms: 3_000, ..CodeLimits::default() };
        let error = world.run_with(&Run { limits, ..Run::new("bash", &source) }).unwrap_err();
        assert!(matches!(error.code, CodeErrorCode::Timeout | CodeErrorCode::Exception), "{error:?}");
        eventually("nothing of it is left", || processes_with("sleep 8642").is_empty());
        assert_eq!(world.run("bash", "echo 1", Value::Null).unwrap().output, json!(1));
    }
}

#[test]
fn nothing_outlives_its_run() {
    for (world, seconds) in [(full(), "86431"), (reduced(), "86432")] {
        let word = format!("sleep {seconds}");
        // Out of the process group, out of the session, with another parent.
        let source = format!("(setsid setsid sleep {seconds} </dev/null >/dev/null 2>&1 &) &\nsleep 0.2\necho 1");
        assert_eq!(world.run("bash", &source, Value::Null).unwrap().output, json!(1));
        eventually("what the program left is gone", || processes_with(&word).is_empty());

        let limits = CodeLimits { wall_ms: 300, ..CodeLimits::default() };
        let source = format!("trap '' TERM INT HUP XCPU; (setsid sleep {seconds} &) & sleep {seconds}");
        let started = Instant::now();
        let error = world.run_with(&Run { limits, ..Run::new("bash", &source) }).unwrap_err();
        assert_eq!(error.code, CodeErrorCode::Timeout);
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        eventually("what ran at the deadline is gone", || processes_with(&word).is_empty());
    }
}

#[test]
fn a_launcher_that_is_killed_takes_everything_with_it() {
    let running = std::thread::spawn(|| full().run("bash", "sleep 97531", Value::Null));
    eventually("it runs", || !processes_with("sleep 97531").is_empty());
    let parent_of = |pid: i32| -> i32 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().unwrap().split_ascii_whitespace().nth(1).map_or(0, |parent| parent.parse().unwrap())
    };
    // sleep, Bash, the first process, the launcher.
    let sleep = processes_with("sleep 97531")[0];
    let launcher = parent_of(parent_of(parent_of(sleep)));
    let name = std::fs::read_to_string(format!("/proc/{launcher}/cmdline")).unwrap();
    assert!(name.contains("native-launcher"), "{name}");
    assert!(std::process::Command::new("kill").args(["-KILL", &launcher.to_string()]).status().unwrap().success());
    let error = running.join().unwrap().unwrap_err();
    assert_eq!(error.code, CodeErrorCode::Unavailable, "{error:?}");
    eventually("all of it is gone", || processes_with("sleep 97531").is_empty());
}

#[test]
fn sees_and_touches_no_process_of_another_run() {
    let victim = std::thread::spawn(|| full().run("bash", "sleep 1.357; echo 1", Value::Null));
    eventually("the other one runs", || !processes_with("sleep 1.357").is_empty());
    let outside = processes_with("sleep 1.357")[0];
    let said = full().bash(&format!("ls /proc | grep -c '^[0-9]'; kill -9 {outside} && echo GOT IT; kill -9 -1"));
    let count: u32 = said.lines().next().unwrap().parse().unwrap();
    assert!(count <= 8 && !said.contains("GOT IT"), "{said}");
    // There it sees them all, and Landlock keeps signals inside.
    let said = reduced().bash(&format!("kill -9 {outside} && echo GOT IT; ls /proc && echo GOT IT"));
    assert!(!said.contains("GOT IT"), "{said}");
    assert_eq!(victim.join().unwrap().unwrap().output, json!(1));
}

#[test]
fn traces_no_process_not_even_its_own() {
    let source = "import ctypes, subprocess\n\
                  libc = ctypes.CDLL(None, use_errno=True)\n\
                  child = subprocess.Popen(['sleep', '5'])\n\
                  for request, pid in [(16, child.pid), (0x4206, child.pid), (16, 1), (16, 2)]:\n\
                  \x20   print(libc.ptrace(request, pid, 0, 0), ctypes.get_errno())\n\
                  buffer = ctypes.create_string_buffer(8)\n\
                  print(libc.process_vm_readv(child.pid, buffer, 1, buffer, 1, 0), ctypes.get_errno())\n\
                  child.kill()\n";
    for world in both() {
        assert_eq!(world.python(source), "-1 1\n".repeat(5));
    }
}

#[test]
fn writes_nowhere_but_into_its_own_tmp() {
    let world = full();
    let program = env!("CARGO_BIN_EXE_citadel");
    let cache = world.data_dir.path().join("cache");
    std::fs::create_dir_all(&cache).unwrap();
    std::fs::set_permissions(&cache, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    for path in [
        "/x",
        "/usr/bin/x",
        "/code/x",
        "/code/main.sh",
        "/dev/x",
        "/etc/x",
        "/proc/x",
        cache.join("x").to_str().unwrap(),
        program,
    ] {
        let said = world.bash(&format!("echo x >> '{path}' && echo GOT IT; touch '{path}' && echo GOT IT; rm -f '{path}'; chmod 777 / /code /usr && echo GOT IT"));
        assert!(!said.contains("GOT IT"), "{path}: {said}");
        let said = reduced().bash(&format!("echo x >> '{path}' && echo GOT IT; mkdir '{path}.d' && echo GOT IT"));
        assert!(!said.contains("GOT IT"), "{path}: {said}");
    }
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 0);
    assert_eq!(world.bash("echo kept > /tmp/x; cat /tmp/x"), "kept\n");
    assert_eq!(world.bash("ls -A /tmp"), "", "each run has its own");
    let said = reduced().bash("echo x > /tmp/x && echo GOT IT");
    assert!(!said.contains("GOT IT"), "{said}");
}

#[test]
fn has_no_rights_and_gets_none() {
    let said = full().bash(
        "grep -E '^(CapPrm|CapEff|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t' ' '
         id -u
         unshare -U true && echo GOT IT
         unshare -r true && echo GOT IT
         mount -t tmpfs tmpfs /tmp && echo GOT IT
         mount -o remount,rw / && echo GOT IT
         chroot /tmp true && echo GOT IT
         mknod /tmp/disk b 8 0 && echo GOT IT
         hostname other
         [ \"$(uname -n)\" = sandbox ] || echo GOT IT",
    );
    for line in ["CapPrm: 0000000000000000", "CapEff: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2", "\n1000\n"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("GOT IT"), "{said}");
}

#[test]
fn finds_no_memory_that_nobody_counts() {
    let source = "import ctypes, mmap, os\n\
                  libc = ctypes.CDLL(None, use_errno=True)\n\
                  for call in (lambda: libc.memfd_create(b'x', 0), lambda: libc.shmget(0, 4096, 0o1600), lambda: libc.socketpair(2, 1, 0, (ctypes.c_int * 2)())):\n\
                  \x20   print(call() == -1)\n\
                  try:\n\
                  \x20   mmap.mmap(-1, 4096, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)\n\
                  except OSError as error:\n\
                  \x20   print(error.errno)\n\
                  print(len(mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)))\n\
                  try:\n\
                  \x20   os.ftruncate(0, 1 << 30)\n\
                  except OSError as error:\n\
                  \x20   print('no')\n";
    for world in both() {
        assert_eq!(world.python(source), "True\nTrue\nTrue\n38\n4096\nno\n");
    }
}

#[test]
fn changes_nothing_of_other_processes() {
    // The engine of this test, where it can be seen; else whatever has that number.
    let engine = std::process::id();
    let source = format!(
        "import os, resource\n\
         for change in (lambda: resource.prlimit({engine}, resource.RLIMIT_NOFILE, (8, 8)),\n\
         \x20              lambda: os.sched_setaffinity({engine}, [0]),\n\
         \x20              lambda: os.setpriority(os.PRIO_PROCESS, {engine}, 19),\n\
         \x20              lambda: os.kill({engine}, 0)):\n\
         \x20   try:\n\
         \x20       change()\n\
         \x20       print('GOT IT')\n\
         \x20   except OSError:\n\
         \x20       print('no')\n"
    );
    for world in both() {
        assert_eq!(world.python(&source), "no\n".repeat(4));
    }
}

#[test]
fn has_only_the_variables_that_it_was_granted() {
    for world in both() {
        let mut run = Run::new("bash", "exec env -0");
        run.grants.env.insert("GRANTED".to_owned(), "a value".to_owned());
        let output = world.run_with(&run).unwrap().output;
        let text = output["stdout"].as_str().unwrap();
        let mut names: Vec<&str> = text.split('\0').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["GRANTED", "HOME", "LANG", "OLDPWD", "PATH", "PWD", "SHLVL", "TMPDIR", "_"]
                .iter()
                .copied()
                .filter(|name| names.contains(name))
                .collect::<Vec<_>>()
        );
        assert!(text.contains("GRANTED=a value\0"));
    }
}

#[test]
fn holds_no_descriptor_of_the_engine() {
    let said = full().bash("ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0; readlink /proc/$$/fd/*");
    assert!(!said.contains("socket:") && !said.contains(".db"), "{said}");
    let open = said.split_ascii_whitespace().take_while(|word| word.len() <= 3).count();
    // Its three, the file that Bash reads, and the directory that `ls` reads.
    assert!(open <= 5, "{said}");
}
