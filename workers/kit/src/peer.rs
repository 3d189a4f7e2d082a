//! What every peer of the hub shares: one trait, and the way from `main` to it and back.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use ipc_schema::{Capabilities, SCHEMA, SCHEMA_MIN};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::{error, info, warn};

use crate::doctor::{self, Doctor, Finding, Manner};
use crate::life::args::Args;
use crate::life::{
    DRAIN_DEADLINE, Life, Notify, Spawned, Stop, USAGE, inherited, log, watch_drain,
};
use crate::link::{LinkAddress, LinkConfig};
use crate::options::OptionProblem;

/// The largest options that `--check` and `--doctor` read, in bytes.
const LARGEST_OPTIONS: u64 = 1 << 20;

/// A peer of the hub: a worker or a runner.
pub trait Peer: 'static {
    /// `discord`, `weibo`, `runner`, …
    const KIND: &'static str;
    /// The program's name; by it the log names the process.
    const PROGRAM: &'static str;
    /// The program's version.
    const VERSION: &'static str;
    /// Its options.
    type Options: DeserializeOwned;

    /// Every problem of these options. Secrets may be placeholders; nothing is connected to.
    fn check(options: &Value) -> Vec<OptionProblem>;

    /// What it can do; without options, what it can do at most.
    fn capabilities(options: Option<&Self::Options>) -> Capabilities;

    /// Examines for real everything that these options depend on, and says what it finds; see
    /// [`crate::doctor`]. Each question has a deadline of its own. Without this, nothing is examined.
    fn doctor(_options: Self::Options, _doctor: &mut Doctor) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// Runs until the drain is done, or until it cannot go on.
    fn run(options: Self::Options, context: PeerContext) -> impl Future<Output = Result<(), Stop>>;
}

/// What a peer is given.
#[derive(Debug)]
pub struct PeerContext {
    /// Which of its kind.
    pub instance: String,
    /// Counts the spawns.
    pub generation: u64,
    /// For [`crate::link::start`] or [`crate::Hub::start`].
    pub link: LinkConfig,
    /// What the process says of itself, and whether it is to end.
    pub life: Life,
    /// Chance, seeded by the system.
    pub rng: fastrand::Rng,
}

/// The whole of a peer's `main`.
pub fn peer_main<P: Peer>() -> ExitCode {
    let args = match Args::parse_for(P::PROGRAM, P::VERSION) {
        Ok(args) => args,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nobody to tell if even this fails.
            let _ = error.print();
            return code.into();
        }
    };
    if args.describe {
        return print(&format!("{:#}\n", describe::<P>()));
    }
    if args.check {
        return check::<P>();
    }
    if args.doctor {
        let (offline, running) = (args.offline, args.running);
        return doctor::<P>(Manner { offline, running });
    }
    let (Some(instance), Some(link)) = (args.instance, args.link) else {
        return USAGE.into(); // clap has asked for both
    };
    let spawned = inherited::take()
        .map_err(|error| Stop::Config(error.to_string()))
        .and_then(|mut inherited| {
            let spawned = Spawned::read(args.config_file.as_deref(), &mut inherited)?;
            Ok((spawned, inherited.remove("alive")))
        });
    let level = spawned
        .as_ref()
        .map_or("info", |(spawned, _)| spawned.log_level.as_str());
    let library = P::PROGRAM.replace('-', "_");
    log::start(&format!("{} {instance}", P::PROGRAM), &[&library], level);
    log::abort_on_panic();
    let ended = spawned.and_then(|(spawned, alive)| {
        if spawned.instance != instance {
            let configured = &spawned.instance;
            return Err(Stop::Config(format!(
                "started as `{instance}`, but the configuration is that of `{configured}`"
            )));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| Stop::Failed(error.into()))?;
        let ended = runtime.block_on(live::<P>(spawned, link, alive));
        // Whatever still runs (a name being looked up, say) is not waited for.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            error!("ending with code {}: {stop}", stop.code());
            ExitCode::from(&stop)
        }
    }
}

async fn live<P: Peer>(
    spawned: Spawned,
    address: LinkAddress,
    alive: Option<std::fs::File>,
) -> Result<(), Stop> {
    let Spawned {
        instance,
        generation,
        link_key,
        options,
        log_level: _,
    } = spawned;
    let notify = Notify::from_env();
    let told = |stop: Stop| {
        notify.status(&stop.to_string());
        stop
    };
    let options = read_options::<P>(options).map_err(told)?;
    let draining = watch_drain(alive).map_err(|error| Stop::Failed(error.into()))?;
    let life = Life::new(notify.clone(), draining);
    tokio::spawn(notify.clone().run());
    let link = LinkConfig {
        address,
        software: format!("{} {}", P::PROGRAM, P::VERSION),
        kind: P::KIND.into(),
        instance: instance.clone(),
        generation,
        capabilities: P::capabilities(Some(&options)),
        link_key,
    };
    info!("{} {} starts", P::PROGRAM, P::VERSION);
    let rng = fastrand::Rng::new();
    let context = PeerContext {
        instance,
        generation,
        link,
        life: life.clone(),
        rng,
    };
    let run = P::run(options, context);
    tokio::pin!(run);
    tokio::select! {
        biased;
        ended = &mut run => return ended.map_err(told),
        () = std::future::ready(()) => notify.ready(), // its loops have been entered
    }
    tokio::select! {
        biased; // a drain that is over at once is a drain too
        () = life.draining() => notify.stopping(),
        ended = &mut run => return ended.map_err(told),
    }
    match tokio::time::timeout(DRAIN_DEADLINE, run).await {
        Ok(ended) => ended.map_err(told),
        Err(_) => {
            let seconds = DRAIN_DEADLINE.as_secs();
            warn!("not drained within {seconds} s; what is left is taken up after the next start");
            Ok(())
        }
    }
}

fn read_options<P: Peer>(options: Value) -> Result<P::Options, Stop> {
    let problems: Vec<_> = P::check(&options).iter().map(ToString::to_string).collect();
    if !problems.is_empty() {
        return Err(Stop::Config(format!(
            "bad options: {}",
            problems.join("; ")
        )));
    }
    // serde's own words may quote a value, which may be a secret.
    serde_json::from_value(options)
        .map_err(|_| Stop::Config("bad options: a value is of another type than expected".into()))
}

fn describe<P: Peer>() -> Value {
    json!({
        "program": P::PROGRAM,
        "version": P::VERSION,
        "kind": P::KIND,
        "schema_min": SCHEMA_MIN,
        "schema_max": SCHEMA,
        "capabilities": P::capabilities(None),
    })
}

/// The options on stdin, or their problems.
fn told_options<P: Peer>() -> Result<Value, Vec<OptionProblem>> {
    let mut text = String::new();
    let read = std::io::stdin()
        .take(LARGEST_OPTIONS)
        .read_to_string(&mut text);
    let options = match read.map(|_| serde_json::from_str(&text)) {
        Ok(Ok(options)) => options,
        _ => {
            let words = "are to come as one JSON object on stdin";
            return Err(vec![OptionProblem::new("options", words)]);
        }
    };
    let problems = P::check(&options);
    if problems.is_empty() {
        Ok(options)
    } else {
        Err(problems)
    }
}

fn check<P: Peer>() -> ExitCode {
    let problems = told_options::<P>().err().unwrap_or_default();
    let lines: String = problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect();
    print(&lines);
    if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        Stop::Config(String::new()).code().into()
    }
}

/// Examines, and says what was found; 78 if the options are too bad for that.
fn doctor<P: Peer>(manner: Manner) -> ExitCode {
    let mut doctor = Doctor::new(manner, std::io::stdout());
    let problem = |problem: &OptionProblem| {
        Finding::fail(
            "options",
            problem.to_string(),
            "mend it in the configuration",
        )
    };
    let options = told_options::<P>().and_then(|options| {
        read_options::<P>(options)
            .map_err(|stop| vec![OptionProblem::new("options", stop.to_string())])
    });
    let options = match options {
        Ok(options) => options,
        Err(problems) => {
            let found = problems.iter().map(problem);
            found.for_each(|finding| doctor.find(finding));
            return Stop::Config(String::new()).code().into();
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        let words = "the system gives this program no event queue";
        doctor.find(Finding::fail("system", words, "look at `ulimit -n`"));
        return ExitCode::FAILURE;
    };
    let examined =
        async { tokio::time::timeout(doctor::LONGEST, P::doctor(options, &mut doctor)).await };
    if runtime.block_on(examined).is_err() {
        let seconds = doctor::LONGEST.as_secs();
        let words = format!("not everything could be examined within {seconds} s");
        doctor.find(Finding::fail(
            "time",
            words,
            "try again, with fewer programs running",
        ));
    }
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    ExitCode::SUCCESS
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
