//! The limits of the machine, in the same run: HTTP without work, commits without grouping, syncs without a database. They say
//! how far the engine is from what its parts allow here and today.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    child::ServerProcess,
    measure::{Timing, blocking, measure},
    message::render,
    report::{Commits, Constant, Limits, Load, number, ratio},
    scenario::order,
    stores::Stores,
};
use crate::{
    app::bench::{CONSTANT_PATH, single_row_commits},
    cli::Failure,
};

/// Writers at a time of the single-row commits: alone, and as many as connections help a database server.
const WRITERS: [u32; 2] = [1, 16];
/// Bytes that are synced at once: the page of a journal file.
const BLOCK_BYTES: usize = 8 * 1024;
/// Blocks of the file that they are written to. It has its length before, as the journal of a running database has.
const BLOCKS: u64 = 1_024;
/// The longest measurement of syncs and commits: they vary less than requests.
const WRITES_MAX: Duration = Duration::from_secs(3);

/// Measures every limit. `directory` is where the data of the servers will be.
///
/// Errors: the store or the directory cannot be used, or the constant server does not start.
pub(super) async fn measure_limits(
    directory: &Path,
    stores: &mut Stores,
    clients: &[usize],
    timing: Timing,
) -> Result<Limits, Failure> {
    let duration = timing.duration.min(WRITES_MAX);
    // First, since this may be refused.
    let url = stores.fresh(directory, "limits").await?;
    let file = directory.join("sync");
    let fdatasync_per_second = blocking(move || syncs_per_second(file, duration)).await?;
    let mut single_row = Vec::new();
    for writers in WRITERS {
        single_row.push(Commits { writers, per_second: single_row_commits(&url, writers, duration).await? });
    }
    let constant = constants(directory, clients, timing).await?;
    Ok(Limits { constant, single_row_commits: single_row, fdatasync_per_second })
}

async fn constants(directory: &Path, clients: &[usize], timing: Timing) -> Result<Vec<Constant>, Failure> {
    let server = ServerProcess::start_constant(directory).await?;
    let request: Arc<[u8]> = render("POST", CONSTANT_PATH, &[], &order().to_string()).into();
    let mut constants = Vec::new();
    for clients in clients {
        let measured = measure(&server, None, &request, *clients, timing, || {}).await?;
        constants.push(Constant {
            clients: *clients,
            load: Load::from(&measured.tally),
            server_cpu_us_per_request: measured.server_cpu_us_each,
            generator_cpu_us_per_request: measured.generator_cpu_us_each,
        });
    }
    Ok(constants)
}

/// Writes and syncs one block after the other, over and over the same file.
fn syncs_per_second(path: PathBuf, duration: Duration) -> io::Result<f64> {
    let mut file = File::options().write(true).create_new(true).open(&path)?;
    let block = [7_u8; BLOCK_BYTES];
    for _ in 0..BLOCKS {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let mut syncs: u64 = 0;
    let began = Instant::now();
    while began.elapsed() < duration {
        if syncs.is_multiple_of(BLOCKS) {
            file.seek(SeekFrom::Start(0))?;
        }
        file.write_all(&block)?;
        file.sync_data()?;
        syncs += 1;
    }
    let per_second = ratio(number(syncs), began.elapsed().as_secs_f64());
    drop(file);
    std::fs::remove_file(path)?;
    Ok(per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_syncs_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sync");
        assert!(syncs_per_second(path.clone(), Duration::from_millis(20)).unwrap() > 0.0);
        assert!(!path.exists());
    }
}
