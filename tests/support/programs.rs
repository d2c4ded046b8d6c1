//! Other programs that a test starts beside the server, and what they need: folders, ports, ends.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::until;

/// A folder that is deleted with the value.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("doorward-test-{}-{number}", std::process::id());
        // In the files of nginx and others, and in what people type, a blank ends a path.
        let usual = std::env::temp_dir();
        let has_blank = usual.to_string_lossy().contains(char::is_whitespace);
        let folder = if has_blank { PathBuf::from("/tmp") } else { usual }.join(name);
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that ends with the value, what it prints going to a file.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub fn start(command: &mut Command, log: &str) -> Running {
        let out = fs::File::create(log).unwrap();
        let program = command.get_program().to_owned();
        let child = command.stdout(out.try_clone().unwrap()).stderr(out).spawn();
        let child = child.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Running { child, log: log.into() }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it takes connections.
    pub fn listening(mut self, port: u16) -> Running {
        until(|| {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", self.log());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        self
    }

    /// Asks it to end, and waits until it has, which must be well.
    pub fn terminate(self) {
        let (status, log) = self.end();
        assert!(status.success(), "{status}: {log}");
    }

    /// Asks it to end, and waits until it has: how it did, and all that it printed.
    pub fn end(mut self) -> (ExitStatus, String) {
        run(Command::new("kill").arg(self.child.id().to_string()));
        (self.child.wait().unwrap(), self.log())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end, which must be a good one.
pub fn run(command: &mut Command) -> String {
    let output = outcome(command);
    let error = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{error}{text}", output.status);
    text + &error
}

pub fn outcome(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()))
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Makes a script that stands in for a program.
pub fn script(folder: &Folder, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.write(name, &format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(Path::new(&path), fs::Permissions::from_mode(0o755)).unwrap();
}
