//! What the operating system knows of this process.

/// Where Linux tells it.
const STATUS: &str = "/proc/self/status";

/// Bytes of memory that the process has in use; `None` where the system does not tell.
pub fn resident_bytes() -> Option<u64> {
    // A file that never leaves memory: reading it does not wait for a disk.
    read_resident(&std::fs::read_to_string(STATUS).ok()?)
}

fn read_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_line_of_the_resident_set() {
        assert_eq!(read_resident("Name:\tcitadel\nVmRSS:\t   1234 kB\nThreads:\t4\n"), Some(1_263_616));
        assert_eq!(read_resident("Name:\tcitadel\n"), None);
        assert_eq!(read_resident("VmRSS:\tmuch\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn knows_the_memory_of_this_process() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1_000_000));
    }
}
