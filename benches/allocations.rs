//! What `serve` allocates for a request once it is warm: `cargo bench --bench allocations`, or with `-- MODEL_DIR`, a path
//! from the root, another model than `tests/golden/distilbert`.
//!
//! The real service runs in this process. Its client is this program once more, `allocations client PORT TEXTS`, so that
//! nothing of the client is counted. A block that grows counts as a new one. A profile of each line of the table is left
//! in `target/tmp`, to be looked at with <https://nnethercote.github.io/dh_view/dh_view.html>.

use std::error::Error;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Parser as _;
use dhat::{HeapStats, Profiler};
use inference_container::{Options, run, start_logging};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Requests before those that count: connections, buffers and label sets are there by then.
const WARM_UP: usize = 200;

/// Requests that count.
const REQUESTS: usize = 500;

/// Texts of a request, by line of the table.
const TEXTS: [usize; 2] = [1, 32];

/// How often the client asks whether the model is loaded, a hundredth of a second apart.
const PINGS: usize = 6000;

/// Calls kept of each place that allocates: from the allocator up to the handler of the request.
const FRAMES: usize = 48;

fn main() -> Outcome<()> {
    // cargo adds the word `--bench` to what the caller says.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["client", port, texts] => client(port, texts.parse()?),
        [model] => measure(Path::new(model)),
        [] => measure(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/distilbert")),
        _ => Err("usage: allocations [MODEL_DIR]".into()),
    }
}

/// Serves the model of `directory` and prints what requests cost.
fn measure(directory: &Path) -> Outcome<()> {
    let base = tempfile::tempdir()?;
    symlink(directory.canonicalize()?, base.path().join("model"))?;
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port().to_string();
    let words = ["serve", "--host", "127.0.0.1", "--threads", "2", "--port", &port, "--base-dir"].map(OsString::from);
    let options = Options::try_parse_from(words.into_iter().chain([base.path().into()]))?;
    start_logging("warn");
    std::thread::spawn(move || run(&options).inspect_err(|error| tracing::error!("{error}")));
    println!("{}, {REQUESTS} requests after {WARM_UP}\n", directory.display());
    println!("| texts in a request | allocations | bytes allocated |\n|---:|---:|---:|");
    for texts in TEXTS {
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("allocations-{texts}.json"));
        let HeapStats { total_blocks, total_bytes, .. } = allocated(&port, texts, &profile)?;
        let [blocks, bytes] = [total_blocks, total_bytes].map(|total| total as f64 / REQUESTS as f64);
        println!("| {texts} | {blocks:.1} | {bytes:.0} |");
    }
    Ok(())
}

/// What this process allocates while a client sends the requests that count.
fn allocated(port: &str, texts: usize, profile: &PathBuf) -> Outcome<HeapStats> {
    let mut client = Command::new(std::env::current_exe()?);
    let mut client =
        client.args(["client", port, &texts.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (mut orders, answers) = (client.stdin.take().ok_or("no input")?, client.stdout.take().ok_or("no output")?);
    let mut answers = BufReader::new(answers);
    // Both strings and the reader's buffer are there before anything is counted.
    let (mut warm, mut done) = (String::with_capacity(64), String::with_capacity(64));
    answers.read_line(&mut warm)?;
    let profiler = Profiler::builder().file_name(profile).trim_backtraces(Some(FRAMES)).build();
    orders.write_all(b"go\n")?;
    answers.read_line(&mut done)?;
    let stats = HeapStats::get();
    drop(profiler);
    let ended = client.wait()?;
    if done == "done\n" && ended.success() { Ok(stats) } else { Err("the client has failed".into()) }
}

/// Sends the requests of `texts` texts each to `port`, one after another on one connection; waits for a line on standard
/// input before those that count.
fn client(port: &str, texts: usize) -> Outcome<()> {
    let description = "Desktop calculators, ten-key, with printer";
    let body = match texts {
        1 => json!({"description": description}),
        _ => json!({"instances": vec![description; texts]}),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (http, base) = (reqwest::Client::new(), format!("http://127.0.0.1:{port}"));
    let send = async |count: usize| -> reqwest::Result<()> {
        for _ in 0..count {
            let answer = http.post(format!("{base}/invocations")).json(&body).send().await?.error_for_status()?;
            answer.json::<Value>().await?;
        }
        Ok(())
    };
    runtime.block_on(async {
        for _ in 0..PINGS {
            let ping = http.get(format!("{base}/ping")).send().await;
            if ping.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        send(WARM_UP).await?;
        println!("warm");
        std::io::stdin().read_line(&mut String::new())?;
        send(REQUESTS).await?;
        println!("done");
        Ok(())
    })
}
