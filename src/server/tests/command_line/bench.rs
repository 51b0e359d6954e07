//! `bench`: every workload runs, verifies, and reports the same fields.

use crate::process::{Scratch, esker, esker_with};

const FIELDS: [&str; 14] = [
    "workload",
    "num",
    "threads",
    "seconds",
    "ops_per_s",
    "p50_us",
    "p99_us",
    "p999_us",
    "max_us",
    "peak_anon_bytes",
    "peak_rss_bytes",
    "disk_bytes",
    "write_amp",
    "cpu_s",
];

const WORKLOADS: [&str; 16] = [
    "fillseq",
    "fillrandom",
    "overwrite",
    "readrandom",
    "readmissing",
    "readseq",
    "readreverse",
    "seekrandom",
    "readwhilewriting",
    "ycsb-a",
    "ycsb-b",
    "ycsb-c",
    "ycsb-d",
    "ycsb-e",
    "ycsb-f",
    "deleterandom",
];

fn bench(db: &str, arguments: &[&str]) -> Vec<serde_json::Value> {
    let mut all = vec!["bench", "--json", "--db", db, "--num", "3000"];
    all.extend_from_slice(arguments);
    let ended = esker(&all);
    ended.text(0).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn every_workload_reports_its_fields() {
    let scratch = Scratch::new();
    for threads in ["1", "3"] {
        let mut arguments = vec!["--threads", threads, "--value-size", "120"];
        arguments.extend_from_slice(&WORKLOADS);
        // What was deleted stays so: these verify it.
        arguments.extend_from_slice(&["readrandom", "readseq", "readreverse", "seekrandom"]);
        let reports = bench(&scratch.db(), &arguments);
        assert_eq!(reports.len(), WORKLOADS.len() + 4);
        for (report, workload) in reports.iter().zip(&WORKLOADS) {
            let object = report.as_object().unwrap();
            let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
            let mut expected = FIELDS.to_vec();
            names.sort_unstable();
            expected.sort_unstable();
            assert_eq!(names, expected);
            assert_eq!(report["workload"], *workload);
            assert_eq!(report["num"], 3000, "{workload}");
            assert_eq!(report["threads"].to_string(), threads);
            assert!(report["ops_per_s"].as_f64().unwrap() > 0.0);
            assert!(report["p50_us"].as_f64().unwrap() <= report["max_us"].as_f64().unwrap());
            assert!(report["disk_bytes"].as_u64().unwrap() > 0);
            // The writer of readwhilewriting may not get its turn before so few reads are done.
            if *workload != "readwhilewriting" {
                let reads = workload.starts_with("read") || ["seekrandom", "ycsb-c"].contains(workload);
                assert_eq!(report["write_amp"].is_null(), reads, "{workload}");
            }
            if cfg!(target_os = "linux") {
                assert!(
                    report["peak_rss_bytes"].as_u64().unwrap() >= report["peak_anon_bytes"].as_u64().unwrap()
                );
            }
        }
    }
    esker(&["verify", "--db", &scratch.db()]).text(0);
}

#[test]
fn a_workload_that_reads_fills_the_store_first_and_a_second_run_finds_it() {
    let scratch = Scratch::new();
    for workload in ["ycsb-c", "readrandom", "readseq"] {
        assert_eq!(bench(&scratch.db(), &[workload])[0]["num"], 3000);
    }
    let table = esker(&["bench", "--db", &scratch.db(), "--num", "100", "readrandom"]);
    assert_eq!(table.text(0).lines().count(), 2);
    assert_eq!(table.err, "");
}

#[test]
fn a_wrong_value_is_noticed() {
    let scratch = Scratch::new();
    bench(&scratch.db(), &["fillseq"]);
    esker(&["put", "--db", &scratch.db(), "--keyspace", "bench", "0000000000000007", "not what was written"])
        .text(0);
    for workload in ["readrandom", "readseq", "readreverse"] {
        let ended = esker(&["bench", "--db", &scratch.db(), "--num", "20", workload]);
        assert!(ended.sentence(1).contains("record 7"), "{workload}: {}", ended.err);
    }
    esker(&["delete", "--db", &scratch.db(), "--keyspace", "bench", "0000000000000007"]).text(0);
    for workload in ["readrandom", "readseq", "readreverse", "seekrandom"] {
        let ended = esker(&["bench", "--db", &scratch.db(), "--num", "20", workload]);
        assert!(ended.sentence(1).contains("record 7"), "{workload}: {}", ended.err);
    }
    let foreign = esker_with(&["load", "--db", &scratch.db(), "--keyspace", "bench", "-"], b"00a\tb\n");
    assert_eq!(foreign.status, 0);
}

#[test]
fn measuring_leaves_everybodys_data_alone() {
    let scratch = Scratch::new();
    let mine = b"0000000000000001\tmine\nrecords\tmine too\n";
    assert_eq!(esker_with(&["load", "--db", &scratch.db(), "-"], mine).status, 0);
    bench(&scratch.db(), &["overwrite", "deleterandom"]);
    assert_eq!(esker(&["scan", "--db", &scratch.db()]).text(0).as_bytes(), mine);
}
