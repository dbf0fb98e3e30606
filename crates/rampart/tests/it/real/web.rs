//! nginx with sites as people leave them, and one as it should be.

use super::{
    audit::{package_version, scan},
    ground::Ground,
    names::knot,
    server::{As, Server, program, run},
};

/// Every header that a page should carry.
pub(super) const HARDENED: &str = r#"
    add_header Strict-Transport-Security "max-age=31536000; includeSubDomains" always;
    add_header Content-Security-Policy "default-src 'self'; frame-ancestors 'none'" always;
    add_header X-Content-Type-Options nosniff always;
    add_header X-Frame-Options DENY always;
    add_header Referrer-Policy no-referrer always;
    add_header Permissions-Policy "camera=(), geolocation=(), microphone=()" always;
"#;

/// Starts nginx with these `server` blocks.
pub(super) fn nginx(ground: &Ground, name: &str, sites: &str, listens: &[(u8, u16)]) -> Server {
    let home = ground.directory(&format!("nginx-{name}"));
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", home.display()))
        .collect();
    let configuration = ground.file(
        &format!("nginx-{name}.conf"),
        &format!(
            "daemon off;\npid {home}/pid;\nerror_log stderr;\nworker_processes 1;\nevents {{ worker_connections 512; }}\n\
             http {{\naccess_log off;\ndefault_type application/octet-stream;\n\
             types {{ text/html html; text/plain txt; application/sql sql; }}\n{temporary}{sites}}}\n",
            home = home.display()
        ),
    );
    let addresses: Vec<_> = listens.iter().map(|(number, port)| ground.at(*number, *port)).collect();
    let program = program("nginx", "nginx");
    Server::start(ground, As::Nobody, &program, &[&"-e", &"stderr", &"-c", &configuration], &addresses)
}

const PAGE: &str =
    "<!doctype html><html lang=en><head><title>Acme</title></head><body><h1>Acme</h1></body></html>\n";

/// A working copy with its repository, as `git clone` into the document root leaves it.
fn repository(ground: &Ground, folder: &str) {
    let root = ground.directory(folder);
    ground.file(&format!("{folder}/index.html"), PAGE);
    let git = program("git", "git");
    run(As::Caller, &git, &[&"init", &"--quiet", &root], ground.path());
    let origin: [&dyn AsRef<std::ffi::OsStr>; 6] =
        [&"-C", &root, &"remote", &"add", &"origin", &"https://git.acme.test/web/shop.git"];
    run(As::Caller, &git, &origin, ground.path());
}

const ZONE: &str = "\
$ORIGIN sites.test.
@       300 SOA ns1 hostmaster 1 3600 600 86400 300
        300 NS  ns1
        300 NS  ns2
ns1     300 A   {1}
ns2     300 A   {1}
git     300 A   {2}
env     300 A   {2}
dump    300 A   {2}
files   300 A   {2}
status  300 A   {2}
bare    300 A   {2}
good    300 A   {2}
";

const SITES: &str = "
server { listen {2}:18080 default_server; return 404; server_tokens off; }
server { listen {2}:18080; server_name git.sites.test; root {dir}/git; }
server { listen {2}:18080; server_name env.sites.test; root {dir}/env; server_tokens off; {hardened} }
server { listen {2}:18080; server_name dump.sites.test; root {dir}/dump; server_tokens off; {hardened} }
server { listen {2}:18080; server_name files.sites.test; root {dir}/files; autoindex on; server_tokens off; {hardened} }
server { listen {2}:18080; server_name status.sites.test; root {dir}/bare; server_tokens off; {hardened}
    location = /nginx_status { stub_status; } }
server { listen {2}:18080; server_name bare.sites.test; root {dir}/bare; server_tokens off; }
server { listen {2}:18080; server_name good.sites.test; root {dir}/bare; server_tokens off; {hardened}
    location ~ /\\. { return 404; } }
";

#[test]
fn virtual_hosts_are_judged_one_by_one() {
    let ground = Ground::new();
    repository(&ground, "git");
    ground.file("env/index.html", PAGE);
    ground.file(
        "env/.env",
        "APP_ENV=production\nAPP_KEY=base64:c29tZXRoaW5n\nDB_HOST=127.0.0.1\nDB_PASSWORD=correct-horse\n",
    );
    ground.file("dump/index.html", PAGE);
    ground.file(
        "dump/backup.sql",
        "-- MySQL dump 10.19  Distrib 10.3.38-MariaDB, for debian-linux-gnu (x86_64)\n--\n-- Host: localhost    \
         Database: shop\n-- ------------------------------------------------------\n\nDROP TABLE IF EXISTS `users`;\n\
         CREATE TABLE `users` (\n  `id` int(11) NOT NULL\n);\nINSERT INTO `users` VALUES (1);\n",
    );
    ground.file("files/report.txt", "Quarterly figures\n");
    ground.file("bare/index.html", PAGE);
    let _names = knot(&ground, 1, 15_353, &[("sites.test", ZONE)]);
    let _web = nginx(&ground, "web", &SITES.replace("{hardened}", HARDENED), &[(2, 18_080)]);
    let resolver = ground.at(1, 15_353).to_string();
    let targets: Vec<String> = ["git", "env", "dump", "files", "status", "bare", "good"]
        .iter()
        .map(|name| format!("http://{name}.sites.test:18080/"))
        .collect();
    let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = targets.iter().map(|target| target as _).collect();
    arguments.extend([&"--resolver" as &dyn AsRef<std::ffi::OsStr>, &resolver, &"--stages", &"crawl,check"]);
    let audit = scan(&ground, &arguments);
    audit.assert_findings("virtual-hosts");
    assert_eq!(
        audit.extracted("server-version-disclosed", "server"),
        [format!("nginx/{}", package_version("nginx"))]
    );
}

/// What answers before anybody has set it up: Debian's own site.
#[test]
fn nginx_as_shipped() {
    let ground = Ground::new();
    let page = std::fs::read_to_string("/usr/share/nginx/html/index.html")
        .expect("nginx is installed: apt-get install --no-install-recommends nginx");
    ground.file("html/index.html", &page);
    let _web = nginx(&ground, "shipped", "server { listen {1}:18081; root {dir}/html; }\n", &[(1, 18_081)]);
    let target = ground.address(1).to_string();
    let audit = scan(&ground, &[&target, &"--ports", &"18000-18099"]);
    audit.assert_findings("nginx-as-shipped");
    audit.assert_services(&[&format!("127.91.0.1:18081 http nginx {}", package_version("nginx"))]);
}

#[test]
fn a_site_without_a_fault_has_no_findings() {
    let ground = Ground::new();
    ground.file("html/index.html", PAGE);
    let site = format!("server {{ listen {{1}}:18082; root {{dir}}/html; server_tokens off; {HARDENED} }}\n");
    let _web = nginx(&ground, "good", &site, &[(1, 18_082)]);
    let url = format!("http://{}/", ground.at(1, 18_082));
    let audit = scan(&ground, &[&url]);
    audit.assert_findings("nginx-hardened");
}
