//! The pages of a guest's memory that every run writes to.
//!
//! An instance's memory is a file that is mapped: a page becomes the instance's own when it is first written to. Where it was read
//! before, that takes a message to every processor that runs this program, and a large interpreter does so some hundred times a run.
//! So these pages are written to first of all, with what is in them.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
};

/// Where Linux tells of each page of this program what it is. Source: Linux `Documentation/admin-guide/mm/pagemap.rst`.
const PAGEMAP: &str = "/proc/self/pagemap";
/// Bytes that it has for each page.
const ENTRY_BYTES: usize = size_of::<u64>();
/// Bits 63 and 61 of that: the page is there, and it is one of a file.
const IS_PRESENT: u64 = 1 << 63;
const IS_OF_FILE: u64 = 1 << 61;

/// A byte, and what it is in every fresh instance.
#[derive(Debug, Clone, Copy)]
struct Byte {
    at: usize,
    value: u8,
}

/// One byte of each page.
#[derive(Debug, Default)]
pub(in crate::runtimes) struct HotPages(Box<[Byte]>);

/// What a run has written to: pages by their number, and what is in them now.
#[derive(Debug, Default)]
pub(in crate::runtimes) struct Written(Vec<(usize, Box<[u8]>)>);

impl Written {
    /// Looks at the memory of an instance that has run. Empty on systems that do not tell.
    pub(in crate::runtimes) fn of(memory: &[u8]) -> Self {
        let page_bytes = rustix::param::page_size();
        let pages = written_pages(memory, page_bytes).unwrap_or_default();
        let contents = memory.chunks(page_bytes).zip(pages).enumerate();
        let written = contents.filter(|(_, (_, is_written))| *is_written);
        Self(written.map(|(page, (content, _))| (page, content.into())).collect())
    }
}

impl HotPages {
    /// What was written to, in a memory where it was not yet.
    pub(in crate::runtimes) fn of(written: &Written, fresh: &[u8]) -> Self {
        let bytes = written.0.iter().filter_map(|(page, used)| {
            let start = page * used.len();
            let fresh = fresh.get(start..)?.get(..used.len())?;
            // One that the run has left alone, so that nothing is lost even if it is not the first to run.
            let offset = fresh.iter().zip(used).position(|(fresh, used)| fresh == used)?;
            Some(Byte { at: start + offset, value: fresh[offset] })
        });
        Self(bytes.collect())
    }

    /// Makes the pages the instance's own. It has to be fresh.
    pub(in crate::runtimes) fn touch(&self, memory: &mut [u8]) {
        for &Byte { at, value } in &self.0 {
            let byte = &mut memory[at];
            debug_assert_eq!(*byte, value, "a fresh instance is like the first one, at {at}");
            *byte = value;
        }
    }
}

/// Which pages of a memory are no more those of the file that it was mapped from.
fn written_pages(memory: &[u8], page_bytes: usize) -> io::Result<Vec<bool>> {
    let (first, count) = (memory.as_ptr().addr() / page_bytes, memory.len().div_ceil(page_bytes));
    let mut pagemap = File::open(PAGEMAP)?;
    let start = u64::try_from(first * ENTRY_BYTES).map_err(io::Error::other)?;
    pagemap.seek(SeekFrom::Start(start))?;
    let mut entries = vec![0; count * ENTRY_BYTES];
    pagemap.read_exact(&mut entries)?;
    let entries = entries.as_chunks().0.iter().map(|entry| u64::from_ne_bytes(*entry));
    Ok(entries.map(|entry| entry & (IS_PRESENT | IS_OF_FILE) == IS_PRESENT).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_touched_where_a_run_leaves_them_alone() {
        const PAGE_BYTES: usize = 64;
        let fresh: Vec<u8> = (0..4 * PAGE_BYTES).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut used = fresh.clone();
        used[PAGE_BYTES] ^= 1;
        used[PAGE_BYTES + 1] ^= 1;
        used[4 * PAGE_BYTES - 1] ^= 1;
        used.extend([0; PAGE_BYTES]);
        let written = Written([1, 2, 3, 4].map(|page| (page, used[page * PAGE_BYTES..][..PAGE_BYTES].into())).into());
        let pages = HotPages::of(&written, &fresh);
        let places: Vec<usize> = pages.0.iter().map(|byte| byte.at).collect();
        assert_eq!(places, [PAGE_BYTES + 2, 2 * PAGE_BYTES, 3 * PAGE_BYTES]);
        let mut memory = fresh.clone();
        pages.touch(&mut memory);
        assert_eq!(memory, fresh);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_which_pages_were_written_to() {
        let page_bytes = rustix::param::page_size();
        let memory = vec![1; 8 * page_bytes];
        let whole = &memory[memory.as_ptr().align_offset(page_bytes)..][..6 * page_bytes];
        assert_eq!(written_pages(whole, page_bytes).unwrap(), [true; 6]);
        let written = Written::of(whole);
        assert_eq!(HotPages::of(&written, whole).0.len(), 6);
    }
}
