//! Where a test's servers live: a network and a directory of its own.

use std::{
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A /24 below 127.91.0.0/16 and a directory that everybody may enter, for servers that refuse to be root.
pub(super) struct Ground {
    network: u8,
    directory: TempDir,
    /// Nobody else takes the network while this listens.
    _claim: TcpListener,
}

impl Ground {
    pub(super) fn new() -> Ground {
        let first = std::process::id();
        let (network, claim) = (0..250)
            .find_map(|step| {
                let network = u8::try_from((first + step) % 250 + 1).ok()?;
                let claim = TcpListener::bind((Ipv4Addr::new(127, 91, network, 254), 9_999)).ok()?;
                Some((network, claim))
            })
            .expect("one of 250 networks is free");
        let directory = tempfile::Builder::new().prefix("rampart-real-").tempdir().unwrap();
        let ground = Ground { network, directory, _claim: claim };
        ground.open_to_everybody(ground.directory.path());
        ground
    }

    pub(super) fn address(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 91, self.network, number)
    }

    pub(super) fn at(&self, number: u8, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(number), port)
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The text with this ground's addresses as the expectations write them.
    pub(super) fn neutral(&self, text: &str) -> String {
        text.replace(&format!("127.91.{}.", self.network), "127.91.0.")
    }

    /// A directory that servers may write to, whoever they run as.
    pub(super) fn directory(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        self.open_to_everybody(&path);
        path
    }

    /// A file that servers may read. `{dir}` in the text is this ground's directory, `{N}` its Nth address.
    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        let mut text = text.replace("{dir}", self.path().to_str().unwrap());
        for number in 1..20 {
            text = text.replace(&format!("{{{number}}}"), &self.address(number).to_string());
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn open_to_everybody(&self, path: &Path) {
        let status = Command::new("chmod").arg("777").arg(path).status().unwrap();
        assert!(status.success());
    }
}
