//! A listener in a process of its own, whose open files are few, or whose threads can be counted.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::echo::start;

/// Not a test by itself: what the process does until its input ends.
#[test]
#[ignore = "not a test by itself"]
fn serve_alone() {
    let server = start();
    println!("port {}", server.port);
    let _ = io::stdin().read(&mut [0]);
}

pub struct Alone {
    child: Child,
    /// It writes there when it ends, too.
    _output: BufReader<ChildStdout>,
    pub port: u16,
}

impl Alone {
    /// Starts one that may open so many files.
    pub fn start(files: u32) -> Alone {
        let this = std::env::current_exe().unwrap();
        let mut child = Command::new("sh")
            .args([
                "-c",
                &format!(r#"ulimit -n {files}; exec "$0" --ignored --nocapture serve_alone"#),
            ])
            .arg(this)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let line = output.by_ref().lines().map(Result::unwrap).find(|line| line.contains("port "));
        let port = line.unwrap().split(' ').next_back().unwrap().parse().unwrap();
        Alone { child, _output: output, port }
    }

    pub fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().count()
    }

    /// Ends it, and checks that it went on until now.
    pub fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}
