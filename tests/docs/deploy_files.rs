//! The files of `examples/deploy`: each is checked by the tool for its format, and does what it
//! documents.
//!
//! A missing tool fails the test, since a file that was not checked looks like a correct one. Each
//! tool first has to refuse a file with a mistake in it.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use pgreconcile::ledger::Lock;
use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::ledger_database::LedgerDatabase;
use crate::support::report::{diverged, json};
use crate::support::{MAPPING, Pair, Scratch};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    let path = repository().join("examples/deploy").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the path of a checking tool, as `deploy.sh` finds or installs it.
fn judge(which: &str) -> PathBuf {
    let script = repository().join("tests/support/deploy.sh");
    let output = Command::new(script).arg(which).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// Runs a line of Python in the folder of the checking tools.
fn python(script: &str, arguments: &[&Path], input: &str) -> Output {
    static HOME: LazyLock<PathBuf> = LazyLock::new(|| judge("python"));
    let mut command = Command::new("python3");
    command.args(["-c", script]).args(arguments).env("PYTHONPATH", &*HOME);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The versions of Kubernetes whose schemas a manifest must fit.
const VERSIONS: [&str; 3] = ["1.31", "1.33", "1.37"];

const MANIFESTS: [&str; 2] = ["kubernetes/cronjob.yaml", "kubernetes/indexed-job.yaml"];

/// Checks a manifest against the schemas of each version; returns what is wrong with it.
fn judged(manifest: &str) -> Result<(), String> {
    // The tool requires a name; the server generates one.
    let named =
        manifest.replace("generateName: pgreconcile-tracking-", "name: pgreconcile-tracking-x");
    let scratch = Scratch::new();
    let file = scratch.file("manifest.yaml", &named);
    for version in VERSIONS {
        let script = format!(
            "import sys; from kubernetes_validate.__main__ import main; \
             sys.argv = ['x', '--strict', '-k', '{version}', sys.argv[1]]; sys.exit(main())"
        );
        let output = python(&script, &[&file], "");
        let told = said(&output);
        if !output.status.success() || !told.contains(&format!("against version {version}")) {
            return Err(told);
        }
    }
    Ok(())
}

fn of_yaml(text: &str) -> Value {
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    let output = python(script, &[], text);
    assert!(output.status.success(), "{}", said(&output));
    json(&String::from_utf8(output.stdout).unwrap())
}

#[test]
fn manifests_are_what_kubernetes_takes() {
    for manifest in MANIFESTS {
        let text = read(manifest);
        assert_eq!(judged(&text), Ok(()), "{manifest}");
        for (right, slip) in [
            ("restartPolicy: Never", "restartPolice: Never"),
            ("values: [1, 2]", "values: 1"),
            ("memory: 64Mi", "memory: [64Mi]"),
        ] {
            assert!(text.contains(right), "{manifest}: {right}");
            assert!(judged(&text.replace(right, slip)).is_err(), "{manifest}: {slip}");
        }
    }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// A pod could get more privileges than it needs, or a verdict could be retried. Both manifests are
/// checked.
#[test]
fn pods_have_least_privilege_and_verdicts_are_not_retried() {
    let cron = of_yaml(&read(MANIFESTS[0]));
    assert_eq!(
        (&cron["kind"], &cron["spec"]["concurrencyPolicy"]),
        (&"CronJob".into(), &"Forbid".into())
    );
    let schedule = cron["spec"]["schedule"].as_str().unwrap();
    assert_eq!(crontab(&format!("{schedule} true\n")).unwrap()[0].0, "0 */6 * * *");
    let indexed = of_yaml(&read(MANIFESTS[1]));
    assert_eq!(
        (&indexed["kind"], &indexed["spec"]["completionMode"]),
        (&"Job".into(), &"Indexed".into())
    );
    for (job, action) in
        [(&cron["spec"]["jobTemplate"]["spec"], "FailJob"), (&indexed["spec"], "FailIndex")]
    {
        let rules = &job["podFailurePolicy"]["rules"];
        // A lost pod does not count; exit codes 1 and 2 are verdicts; 3 counts as a try.
        assert_eq!(rules[0]["action"], "Ignore");
        assert_eq!(rules[0]["onPodConditions"][0]["type"], "DisruptionTarget");
        assert_eq!(rules[1]["action"], action);
        assert_eq!(
            rules[1]["onExitCodes"],
            json(r#"{"containerName":"pgreconcile","operator":"In","values":[1,2]}"#)
        );
        assert_eq!(rules.as_array().unwrap().len(), 2);
        let pod = &job["template"]["spec"];
        let [container] = pod["containers"].as_array().unwrap().as_slice() else { panic!("{pod}") };
        assert_eq!(container["name"], "pgreconcile");
        assert_eq!(pod["restartPolicy"], "Never");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["automountServiceAccountToken"], false);
        let security = &container["securityContext"];
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(strings(&security["capabilities"]["drop"]), ["ALL"]);
        assert!(container["resources"]["requests"]["cpu"].is_string());
        assert!(container["resources"]["limits"]["memory"].is_string());
        // Connection strings come from a secret, and are nowhere else.
        assert_eq!(container["envFrom"][0]["secretRef"]["name"], "pgreconcile");
        assert!(!job.to_string().contains("postgres"), "{job}");
    }
    // The run's name is the job's own, so all of its pods share one run.
    let container = &indexed["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"][0]["name"], "JOB_UID");
    let field = &container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"];
    assert_eq!(field, "metadata.labels['batch.kubernetes.io/controller-uid']");
    assert!(strings(&container["args"]).windows(2).any(|pair| pair == ["--run-id", "$(JOB_UID)"]));
}

/// Writes a unit and checks it; returns what is wrong with it.
fn verified(unit: &str, text: &str) -> String {
    static SYSTEMD: LazyLock<PathBuf> = LazyLock::new(|| judge("systemd"));
    let scratch = Scratch::new();
    let program = env!("CARGO_BIN_EXE_pgreconcile");
    for other in ["pgreconcile@.service", "pgreconcile@.timer"] {
        let text = if other == unit { text.to_owned() } else { read(&format!("systemd/{other}")) };
        scratch.file(other, &text.replace("/usr/local/bin/pgreconcile", program));
    }
    let run = |arguments: &[&str]| {
        let output = Command::new(&*SYSTEMD).args(arguments).current_dir(scratch.path()).output();
        output.unwrap()
    };
    let output = run(&["verify", "--man=no", &format!("./{unit}")]);
    let mut told = said(&output);
    if !output.status.success() && told.is_empty() {
        told = output.status.to_string();
    }
    told
}

#[test]
fn units_are_what_systemd_takes() {
    let (service, timer) = ("pgreconcile@.service", "pgreconcile@.timer");
    for (unit, slips) in [
        (
            service,
            [
                ("Type=oneshot", "Type=oneshoot"),
                ("StateDirectory=", "StateDirectorie="),
                ("ExecStart=/usr/local", "ExecStart=/nowhere"),
            ],
        ),
        (
            timer,
            [
                ("00/6:00:00", "00/6:61:00"),
                ("Persistent=yes", "Persistent=perhaps"),
                ("[Timer]", "[Time]"),
            ],
        ),
    ] {
        let text = read(&format!("systemd/{unit}"));
        assert_eq!(verified(unit, &text), "", "{unit}");
        for (right, slip) in slips {
            assert!(text.contains(right), "{unit}: {right}");
            assert_ne!(verified(unit, &text.replace(right, slip)), "", "{unit}: {slip}");
        }
    }
    // Verdicts are not retried; an interrupted run is.
    let text = read("systemd/pgreconcile@.service");
    for line in [
        "Restart=on-failure",
        "RestartPreventExitStatus=1 2",
        "SuccessExitStatus=4",
        "DynamicUser=yes",
    ] {
        assert!(text.lines().any(|has| has == line), "{line}");
    }
}

/// Returns the lines of a crontab that cron would run, with their times, or an error with those
/// that it cannot parse.
fn crontab(text: &str) -> Result<Vec<(String, String)>, String> {
    let scratch = Scratch::new();
    let file = scratch.file("crontab", text);
    let script = "
import json, sys
from crontab import CronTab, CronItem
lines = CronTab(tabfile=sys.argv[1]).lines
bad = [str(l) for l in lines if not (l.is_valid() if isinstance(l, CronItem) else l.startswith('#') or not l.strip())]
jobs = [[str(l.slices), l.command] for l in lines if isinstance(l, CronItem) and l.is_valid()]
json.dump([bad, jobs], sys.stdout)";
    let output = python(script, &[&file], "");
    assert!(output.status.success(), "{}", said(&output));
    let [bad, jobs]: [Vec<Value>; 2] = serde_json::from_slice(&output.stdout).unwrap();
    if !bad.is_empty() || !output.stderr.is_empty() {
        return Err(format!("{bad:?} {}", said(&output)));
    }
    Ok(jobs.into_iter().map(|job| serde_json::from_value(job).unwrap()).collect())
}

/// Creates two sides that differ in three rows, and their spec.
fn stage() -> Pair {
    let pair = diverged();
    pair.spec(&format!("[compare]\nsettle = \"0s\"\n{MAPPING}"));
    pair
}

/// A line that cron cannot parse would fail unnoticed.
#[test]
fn the_crontab_is_valid_and_mails_what_a_person_must_see() {
    let text = read("crontab");
    let jobs = crontab(&text).unwrap();
    let [(times, command)] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert_eq!(times, "7 */6 * * *");
    for slip in ["7 */6 * *", "61 */6 * * *", "7 */6 * foo *"] {
        assert!(crontab(&text.replace("7 */6 * * *", slip)).is_err(), "{slip}");
    }
    // Cron cuts a command at a percent sign.
    assert!(!command.contains('%') && !command.contains("flock"), "{command}");
    let pair = stage();
    let place = pair.scratch.path();
    let variables = [("SOURCE_URL", Side::Source), ("TARGET_URL", Side::Target)]
        .map(|(name, side)| format!("export {name}='{}'\n", pair.url(side)));
    pair.scratch.file("env", &variables.concat());
    std::fs::rename(place.join("spec.toml"), place.join("tracking.toml")).unwrap();
    let here = place.to_str().unwrap();
    let command = command.replace("/etc/pgreconcile", here).replace("/var/lib/pgreconcile", here);
    let words: Vec<&str> = command.split(' ').collect();
    let command = words.join(" ");
    let folder = Path::new(env!("CARGO_BIN_EXE_pgreconcile")).parent().unwrap();
    let run = || {
        let mut shell = Command::new("/bin/sh");
        let path = format!("{}:/usr/bin:/bin", folder.display());
        shell
            .args(["-c", &command])
            .env_clear()
            .env("PATH", path)
            .current_dir("/")
            .output()
            .unwrap()
    };
    let output = run();
    assert_eq!(said(&output), format!("pgreconcile: exit code 1, see {here}/tracking.jsonl\n"));
    assert_eq!(output.status.code(), Some(1));
    // The program itself reports a run that holds the lock, once.
    let ledger = place.join(".pgreconcile/test.db");
    let held = Lock::take(&ledger).unwrap().acquired().unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(4));
    assert!(said(&output).starts_with("error: another run is under way"), "{}", said(&output));
    drop(held);
    pair.sql(Side::Source, "delete from t");
    pair.sql(Side::Target, "delete from t");
    let output = run();
    assert_eq!((said(&output), output.status.code()), (String::new(), Some(0)));
}

/// The service would fail or write elsewhere. Its arguments run as systemd would run them, with the
/// test's folder in the place of the service's own.
#[test]
fn the_service_compares_with_a_ledger_in_its_own_folder() {
    let text = read("systemd/pgreconcile@.service");
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let pair = stage();
    let place = pair.scratch.path();
    std::fs::create_dir(place.join("pgreconcile")).unwrap();
    std::fs::rename(place.join("spec.toml"), place.join("tracking.toml")).unwrap();
    let here = place.to_str().unwrap();
    let line = line.replace("/etc/pgreconcile", here).replace("%S", here).replace("%i", "tracking");
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let outcome = pair.program().without("PGRECONCILE_LEDGER").args(&words).run();
    assert_eq!(outcome.exits(1).stderr, "");
    assert_eq!(outcome.stdout, "");
    let state = |name: &str| place.join("pgreconcile").join(name);
    assert!(state("tracking.db").exists());
    let findings = std::fs::read_to_string(state("tracking.jsonl")).unwrap();
    assert_eq!(findings.matches("\"type\":\"finding\"").count(), 3);
}

/// The cron job's pod would log row values. Its container runs with files in the place of its
/// volumes.
#[test]
fn a_pod_logs_what_differs_and_no_value() {
    let cron = of_yaml(&read(MANIFESTS[0]));
    let container = &cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
    let pair = stage();
    let place = pair.scratch.path();
    std::fs::rename(place.join("spec.toml"), place.join("tracking.toml")).unwrap();
    let arguments =
        strings(&container["args"]).join(" ").replace("/specs", place.to_str().unwrap());
    let words: Vec<&str> = arguments.split(' ').collect();
    let ledger = LedgerDatabase::new();
    let program = pair.program().env("PGRECONCILE_LEDGER", &ledger.url());
    let outcome = program.args(&words).run();
    assert_eq!(outcome.exits(1).stderr, "");
    assert_eq!(outcome.records("finding").len(), 3);
    // The run is recorded, and no file was written where a pod may not write.
    assert_eq!(ledger.sql("select count(*) from pgreconcile.run"), "1");
    let files = std::fs::read_dir(place).unwrap().map(|file| file.unwrap().file_name());
    assert_eq!(files.collect::<Vec<_>>(), ["tracking.toml"]);
    assert!(!outcome.stdout.contains("v2"), "{}", outcome.stdout);
}

/// Returns the command that the array's script would run, recorded by a program of the same name.
fn call_of_an_array() -> String {
    let script = repository().join("examples/deploy/slurm/pgreconcile.sbatch");
    let scratch = Scratch::new();
    let told = scratch.file("pgreconcile", "#!/bin/sh\necho \"$@\"\n");
    std::fs::set_permissions(&told, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", scratch.path().display());
    let mut shell = Command::new("/bin/sh");
    shell.arg(&script).env_clear().env("PATH", path).env("SLURM_ARRAY_JOB_ID", "4711");
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output).trim().to_owned()
}

/// Pods and tasks would start runs of their own. The indexed job's containers and the array's tasks
/// run with files in the place of their volumes: one of them reports the differences, all exit
/// alike, and no file is written where a pod may not write.
#[test]
fn pods_of_a_job_and_tasks_of_an_array_share_one_run() {
    let indexed = of_yaml(&read(MANIFESTS[1]));
    let container = &indexed["spec"]["template"]["spec"]["containers"][0];
    let job = "0a7b6a2e-6d3f-4a0e-9a52-1f5f0c8f1d11";
    let pod = strings(&container["args"]).join(" ").replace("$(JOB_UID)", job);
    for (call, run) in [(pod, job), (call_of_an_array(), "slurm-4711")] {
        let pair = stage();
        let place = pair.scratch.path();
        std::fs::rename(place.join("spec.toml"), place.join("tracking.toml")).unwrap();
        let here = place.to_str().unwrap();
        let call = call.replace("/specs", here).replace("/etc/pgreconcile", here);
        let words: Vec<&str> = call.split(' ').collect();
        let ledger = LedgerDatabase::new();
        let start = || {
            let program = pair.program().env("PGRECONCILE_LEDGER", &ledger.url());
            program.args(&words).start()
        };
        let processes: Vec<_> = (0..4).map(|_| start()).collect();
        let outcomes: Vec<_> = processes.into_iter().map(|process| process.finish()).collect();
        let tell: Vec<_> = outcomes.iter().filter(|outcome| !outcome.stdout.is_empty()).collect();
        let [tell] = tell.as_slice() else { panic!("{outcomes:?}") };
        assert_eq!(tell.records("finding").len(), 3);
        assert_eq!(tell.records("run")[0]["run"], run);
        assert!(!tell.stdout.contains("v2"), "{}", tell.stdout);
        for outcome in &outcomes {
            assert_eq!(outcome.exits(1).stderr, "");
        }
        let files = std::fs::read_dir(place).unwrap().map(|file| file.unwrap().file_name());
        assert_eq!(files.collect::<Vec<_>>(), ["tracking.toml"]);
    }
}

#[test]
fn every_file_is_documented() {
    let mut folders = vec![repository().join("examples/deploy")];
    let chapter = repository().join("src/manual/scheduling.md");
    let chapter = std::fs::read_to_string(chapter).unwrap();
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let name = path.strip_prefix(repository()).unwrap().to_str().unwrap();
            assert!(chapter.contains(&format!("`{name}`")), "{name} is not in the chapter");
        }
    }
    assert_eq!(files, 6);
}
