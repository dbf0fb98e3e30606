//! HTTP: paths, raw requests, redirects, cookies, history, stopping.

use checks::{RunOptions, exchange::HttpForm, exchange::Request};
use model::{FailReason, Outcome, SkipReason};

use crate::server::{answer, http, missing, moved, ok, run, run_with, template, web};

const SITE: &str = "http://site.test/";

#[test]
fn query_strings_bodies_and_headers_arrive_as_written() {
    let query = template(
        "http:\n  - path: ['{{BaseURL}}?probe=one']\n    matchers:\n      - {type: word, words: [seen]}\n",
    );
    let ran = run(
        &query,
        &web(SITE),
        http(|seen| if seen.target == "/?probe=one" { ok("seen") } else { missing() }),
    );
    assert_eq!(ran.verdict.outcome, Outcome::Matched);
    assert_eq!(ran.places(), ["http://site.test/?probe=one"]);

    let json = template(
        "http:\n  - method: POST\n    path: ['{{BaseURL}}/api']\n    headers: {Content-Type: application/json, X-Host: '{{Hostname}}'}\n    body: '{\"user\": \"{{Host}}\"}'\n    matchers:\n      - {type: status, status: [201]}\n",
    );
    let ran = run(
        &json,
        &web("http://site.test:8080/"),
        http(|seen| {
            assert_eq!((seen.method.as_str(), seen.body.as_str()), ("POST", r#"{"user": "site.test"}"#));
            assert_eq!(
                (seen.header("content-type"), seen.header("x-host")),
                ("application/json", "site.test:8080")
            );
            answer(201, &[], "")
        }),
    );
    assert_eq!(ran.verdict.outcome, Outcome::Matched);
}

#[test]
fn host_redirects_stop_at_another_host() {
    let template = template(
        "http:\n  - path: ['{{BaseURL}}']\n    host-redirects: true\n    max-redirects: 3\n    matchers:\n      - {type: dsl, dsl: ['status_code==307']}\n",
    );
    let ran = run(
        &template,
        &web(SITE),
        http(|seen| match seen.target.as_str() {
            "/" => moved(302, "/first"),
            "/first" => moved(302, "second"),
            "/second" => moved(302, "/third"),
            "/third" => moved(307, "http://elsewhere.test/"),
            other => panic!("{other} was asked for at {:?}", seen.request.origin),
        }),
    );
    assert_eq!(ran.targets(), ["/", "/first", "/second", "/third"]);
    assert_eq!(ran.places(), ["http://site.test/third"]);
}

#[test]
fn redirects_obey_the_template_and_the_scan() {
    let follows = template(
        "http:\n  - path: ['{{BaseURL}}']\n    redirects: true\n    max-redirects: 2\n    matchers:\n      - {type: word, words: [goal]}\n",
    );
    let ends_at = |depth: usize, options: &RunOptions| {
        let ran = run_with(
            &follows,
            &web(SITE),
            options,
            http(|seen| {
                let level: usize = seen.target.trim_start_matches('/').parse().unwrap_or(0);
                if level == depth { ok("goal") } else { moved(301, &format!("/{}", level + 1)) }
            }),
        );
        (ran.sent.len(), ran.verdict.outcome)
    };
    assert_eq!(ends_at(2, &RunOptions::default()), (3, Outcome::Matched));
    assert_eq!(ends_at(3, &RunOptions::default()), (3, Outcome::NotMatched));
    let none = RunOptions { max_redirects: 0, ..RunOptions::default() };
    assert_eq!(ends_at(1, &none), (1, Outcome::NotMatched));
    let stays =
        template("http:\n  - path: ['{{BaseURL}}']\n    matchers:\n      - {type: status, status: [200]}\n");
    let ran = run(&stays, &web(SITE), http(|_| moved(302, "/next")));
    assert_eq!((ran.sent.len(), ran.verdict.outcome), (1, Outcome::NotMatched));
}

#[test]
fn every_hop_is_looked_at_and_the_last_comes_first() {
    let source = "http:\n  - path: ['{{BaseURL}}']\n    redirects: true\n    matchers:\n      - {type: word, words: [word]}\n";
    let serve = || {
        http(|seen| {
            if seen.target == "/" {
                answer(302, &[("Location", "/redirected")], "a word")
            } else {
                ok("the word")
            }
        })
    };
    let both = run(&template(source), &web(SITE), serve());
    assert_eq!(both.places(), ["http://site.test/redirected", "http://site.test/"]);
    let stopping = source.replace("redirects: true", "redirects: true\n    stop-at-first-match: true");
    let first = run(&template(&stopping), &web(SITE), serve());
    assert_eq!(first.places(), ["http://site.test/redirected"]);
}

#[test]
fn post_becomes_get_on_302_and_stays_on_307() {
    for (status, methods) in [(302, ["POST", "GET"]), (307, ["POST", "POST"])] {
        let template = template(
            "http:\n  - method: POST\n    path: ['{{BaseURL}}/a']\n    body: payload\n    redirects: true\n    matchers:\n      - {type: word, words: [x]}\n",
        );
        let mut seen_methods = Vec::new();
        run(
            &template,
            &web(SITE),
            http(|seen| {
                seen_methods.push(seen.method.clone());
                assert_eq!(seen.body.is_empty(), seen.method == "GET");
                if seen.target == "/a" { moved(status, "/b") } else { ok("") }
            }),
        );
        assert_eq!(seen_methods, methods);
    }
}

#[test]
fn targets_go_out_exactly() {
    let forms = [
        ("/1337?with=param", "/1337?with=param"),
        ("/some%0A/%0D", "/some%0A/%0D"),
        ("/%73%6f%6d%65%0A/%0D", "/%73%6f%6d%65%0A/%0D"),
        ("/%00test%20", "/%00test%20"),
        ("/text4shell/attack?search=$%7bscript%7d", "/text4shell/attack?search=$%7bscript%7d"),
        ("/test/..;/..;/", "/test/..;/..;/"),
        ("/xyz/%u2s/%invalid", "/xyz/%25u2s/%25invalid"),
        ("//CFIDE/wizards/common/utils.cfc", "//CFIDE/wizards/common/utils.cfc"),
        ("/a b\u{e9}|<>\"", "/a%20b%C3%A9|<>\""),
    ];
    for (written, wire) in forms {
        let path = template(&format!(
            "http:\n  - path: ['{{{{BaseURL}}}}{written}']\n    matchers:\n      - {{type: status, status: [200]}}\n"
        ));
        let raw = template(&format!(
            "http:\n  - raw:\n      - |\n        GET {written} HTTP/1.1\n        Host: {{{{Hostname}}}}\n    matchers:\n      - {{type: status, status: [200]}}\n"
        ));
        for template in [path, raw] {
            let ran = run(&template, &web(SITE), http(|_| missing()));
            assert_eq!(ran.targets(), [wire], "{written}");
        }
    }
}

#[test]
fn raw_paths_merge_with_the_target_unless_told_not_to() {
    let merged = |target: &str, raw_path: &str, options: &str| {
        let template = template(&format!(
            "http:\n  - raw:\n      - |\n        GET {raw_path} HTTP/1.1\n        Host: {{{{Hostname}}}}\n{options}    matchers:\n      - {{type: status, status: [200]}}\n"
        ));
        run(&template, &web(target), http(|_| missing())).targets().remove(0)
    };
    assert_eq!(merged("http://site.test/index.php", "/", ""), "/index.php");
    assert_eq!(merged("http://site.test/index.php", "/", "    unsafe: true\n"), "/index.php HTTP/1.1");
    assert_eq!(merged("http://site.test/app/", "/x?y=1", ""), "/app/x?y=1");
    assert_eq!(merged("http://site.test/", "/test/..;/..;/", ""), "/test/..;/..;/");
    let apart = "    disable-path-automerge: true\n";
    assert_eq!(merged("http://site.test/api/v1/user", "/api/v1/test?id=123", apart), "/api/v1/test?id=123");
    assert_eq!(merged("http://site.test/api/v1/user", "", apart), "/");
    assert_eq!(merged("http://site.test/a", "{{BaseURL}}/b", ""), "/a/b");
}

#[test]
fn base_urls_with_paths_and_queries_join() {
    let joined = |target: &str, path: &str| {
        let template = template(&format!(
            "http:\n  - path: ['{path}']\n    matchers:\n      - {{type: status, status: [200]}}\n"
        ));
        run(&template, &web(target), http(|_| missing())).targets().remove(0)
    };
    for (target, path, wire) in [
        ("http://site.test/", "{{BaseURL}}", "/"),
        ("http://site.test/", "{{BaseURL}}/", "/"),
        ("http://site.test/app/", "{{BaseURL}}", "/app/"),
        ("http://site.test/app/", "{{BaseURL}}/x", "/app/x"),
        ("http://site.test/app?k=v", "{{BaseURL}}/x?a=b", "/app/x?a=b&k=v"),
        ("http://site.test/app?k=v", "{{RootURL}}/x", "/x"),
        ("http://site.test/app", "/only/path", "/only/path"),
        ("http://site.test/", "{{BaseURL}}/page#part", "/page"),
    ] {
        assert_eq!(joined(target, path), wire, "{target} {path}");
    }
}

#[test]
fn raw_requests_are_read_leniently() {
    let template = template(
        "http:\n  - raw:\n      - |\n        @Host: https://other.test:8443\n        @timeout: 15s\n        @tls-sni: request.host\n        POST /login HTTP/1.1\n        Host: name.test:99\n        Origin: {{BaseURL}}\n        Content-Length: 1\n        Content-Type: text/plain\n\n        line one\n        line two\n    matchers:\n      - {type: status, status: [200]}\n",
    );
    let ran = run(&template, &web(SITE), http(|_| ok("")));
    let Request::Http(request) = &ran.sent[0] else { panic!("{:?}", ran.sent) };
    assert_eq!(
        (request.origin.tls, request.origin.host.as_str(), request.origin.port),
        (true, "other.test", 8443)
    );
    assert_eq!(request.timeout, Some(std::time::Duration::from_secs(15)));
    assert_eq!(request.sni.as_deref(), Some("name.test"));
    let HttpForm::Structured { headers, body, .. } = &request.form else { panic!("{request:?}") };
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Host", "Origin", "Content-Type"], "the sender counts the body itself");
    assert_eq!(headers[1].1, "http://site.test");
    assert_eq!(body, b"line one\nline two");
}

#[test]
fn unsafe_requests_are_verbatim() {
    let template = template(
        "http:\n  - raw:\n      - |+\n        GET /a%zz b HTTP/1.0\n        X-Odd : 1\n\n    unsafe: true\n    matchers:\n      - {type: status, status: [200]}\n",
    );
    let ran = run(&template, &web(SITE), http(|_| ok("")));
    let Request::Http(request) = &ran.sent[0] else { panic!("{:?}", ran.sent) };
    assert_eq!(request.form, HttpForm::Verbatim(b"GET /a%zz b HTTP/1.0\r\nX-Odd: 1\r\n\r\n".to_vec()));
    assert_eq!(checks::request_key(&ran.sent[0]), None);
}

#[test]
fn cookies_are_kept_unless_disabled() {
    for (option, sees) in [("", "nuclei=test; mine=1"), ("    disable-cookie: true\n", "mine=1")] {
        let template = template(&format!(
            "http:\n  - raw:\n      - |\n        POST / HTTP/1.1\n        Host: {{{{Hostname}}}}\n\n        a=b\n      - |\n        GET /next HTTP/1.1\n        Host: {{{{Hostname}}}}\n        Cookie: mine=1\n{option}    matchers:\n      - {{type: word, words: [x]}}\n"
        ));
        let mut cookies = Vec::new();
        run(
            &template,
            &web(SITE),
            http(|seen| {
                cookies.push(seen.header("cookie").to_owned());
                answer(
                    200,
                    &[("Set-Cookie", "nuclei=test; Path=/; HttpOnly"), ("Set-Cookie", "s=1; Secure")],
                    "",
                )
            }),
        );
        let mut second: Vec<&str> = cookies[1].split("; ").collect();
        second.sort_unstable();
        let mut wanted: Vec<&str> = sees.split("; ").collect();
        wanted.sort_unstable();
        assert_eq!((cookies[0].as_str(), second), ("", wanted));
    }
}

#[test]
fn internal_extractors_feed_later_requests() {
    let template = template(
        "http:\n  - raw:\n      - |\n        POST /token HTTP/1.1\n        Host: {{Hostname}}\n      - |\n        GET /?username={{randkey}} HTTP/1.1\n        Host: {{Hostname}}\n    extractors:\n      - {type: regex, name: randkey, internal: true, group: 1, regex: [\"Token: '([A-Za-z0-9]+)'\"]}\n    matchers:\n      - {type: word, words: [welcome]}\n",
    );
    let serve = |token: &'static str| {
        http(move |seen| match seen.target.as_str() {
            "/token" => ok(token),
            "/?username=abc" => ok("welcome"),
            other => panic!("{other}"),
        })
    };
    let ran = run(&template, &web(SITE), serve("Token: 'abc'"));
    assert_eq!((ran.verdict.outcome, ran.sent.len()), (Outcome::Matched, 2));
    assert!(ran.verdict.matches[0].extracted.is_empty(), "internal values are nobody's business");
    let without = run(&template, &web(SITE), serve("no token"));
    assert_eq!((without.verdict.outcome, without.sent.len()), (Outcome::NotMatched, 1));
}

#[test]
fn what_a_target_sends_is_never_evaluated() {
    let template = template(
        "http:\n  - raw:\n      - |\n        GET / HTTP/1.1\n        Host: {{Hostname}}\n      - |\n        GET /echo?x={{stolen}} HTTP/1.1\n        Host: {{Hostname}}\n        X-Stolen: {{stolen}}\n    extractors:\n      - {type: regex, name: stolen, internal: true, regex: ['(?s)\\{\\{.*\\}\\}.*']}\n    matchers:\n      - {type: word, part: body, words: ['{{stolen}}']}\n",
    );
    let mut header = String::new();
    let ran = run(
        &template,
        &web(SITE),
        http(|seen| {
            seen.header("x-stolen").clone_into(&mut header);
            ok("{{md5(\"Hello\")}}\r\nEvil: yes")
        }),
    );
    assert_eq!(ran.targets(), ["/", "/echo?x={{md5(\"Hello\")}}%0D%0AEvil:%20yes"]);
    assert_eq!(header, "{{md5(\"Hello\")}}Evil: yes", "a value cannot become a header of its own");
    assert_eq!(ran.verdict.outcome, Outcome::Matched, "words compare with the value as it is");
}

#[test]
fn numbered_parts_see_all_responses_and_match_once() {
    let template = template(
        "http:\n  - raw:\n      - |\n        GET / HTTP/1.1\n        Host: {{Hostname}}\n      - |\n        GET {{link}} HTTP/1.1\n        Host: {{Hostname}}\n    extractors:\n      - {type: regex, name: link, internal: true, part: body_1, group: 1, regex: ['href=\"([^\"]+)\"']}\n      - {type: regex, name: title, part: body_2, group: 1, regex: ['<title>([^<]+)']}\n    matchers:\n      - {type: dsl, condition: and, dsl: ['status_code_1 == 200', \"contains(body_2, 'Example') && server_2 == 'x'\"]}\n",
    );
    let ran = run(
        &template,
        &web(SITE),
        http(|seen| match seen.target.as_str() {
            "/" => ok("<a href=\"/domains\">"),
            "/domains" => answer(200, &[("Server", "x")], "<title>Example Domain</title>"),
            other => panic!("{other}"),
        }),
    );
    assert_eq!(ran.places(), ["http://site.test/domains"]);
    assert_eq!(ran.verdict.matches[0].extracted["title"], ["Example Domain"]);
    assert_eq!(ran.verdict.matches[0].evidence.len(), 2);
}

#[test]
fn stopping_at_the_first_match() {
    let matching = "http:\n  - path: ['{{BaseURL}}?a=1', '{{BaseURL}}?a=2']\n    stop-at-first-match: true\n    matchers:\n      - {type: word, words: [hit]}\n";
    let ran = run(&template(matching), &web(SITE), http(|_| ok("hit")));
    assert_eq!((ran.sent.len(), ran.places().len()), (1, 1));
    let extracting = "http:\n  - path: ['{{BaseURL}}?a=1', '{{BaseURL}}?a=2']\n    stop-at-first-match: true\n    extractors:\n      - {type: kval, kval: [date]}\n";
    let ran = run(&template(extracting), &web(SITE), http(|_| answer(200, &[("Date", "today")], "")));
    assert_eq!((ran.sent.len(), ran.places().len()), (2, 2), "extracting alone does not stop");
    assert_eq!(ran.verdict.matches[0].extracted[""], ["today"]);
}

#[test]
fn content_length_is_the_header_or_the_body() {
    let stated = |headers: &[(&str, &str)], expression: &str| {
        let template = template(&format!(
            "http:\n  - path: ['{{{{BaseURL}}}}']\n    matchers:\n      - {{type: dsl, dsl: ['{expression}']}}\n"
        ));
        run(&template, &web(SITE), http(|_| answer(200, headers, "fourteen bytes"))).verdict.outcome
    };
    assert_eq!(stated(&[], "content_length==14"), Outcome::Matched);
    let stated = stated(&[("Content-Length", "50000")], "content_length==50000 && len(body)==14");
    assert_eq!(stated, Outcome::Matched);
}

#[test]
fn failures_are_told_apart_from_absence() {
    use checks::exchange::Failure;
    let two = template(
        "http:\n  - path: ['{{BaseURL}}/a', '{{BaseURL}}/b']\n    matchers:\n      - {type: word, words: [hit]}\n",
    );
    let mut serve = http(|_| missing());
    let mut number = 0;
    let ran = run(&two, &web(SITE), |request| {
        number += 1;
        if number == 1 {
            Err(Failure::Failed(FailReason::TimedOut, "no answer".to_owned()))
        } else {
            serve(request)
        }
    });
    assert_eq!((ran.sent.len(), ran.verdict.outcome), (2, Outcome::Failed(FailReason::TimedOut)));
    let refused = run(&two, &web(SITE), |_| Err(Failure::Failed(FailReason::Refused, "refused".to_owned())));
    assert_eq!((refused.sent.len(), refused.verdict.outcome), (1, Outcome::Failed(FailReason::Refused)));
    let outside = run(&two, &web(SITE), |_| Err(Failure::OutOfScope("not yours".to_owned())));
    assert_eq!(outside.verdict.outcome, Outcome::Skipped(SkipReason::OutOfScope));
    let stopped = run(&two, &web(SITE), |_| Err(Failure::Skipped(SkipReason::Cancelled)));
    assert_eq!((stopped.sent.len(), stopped.verdict.outcome), (1, Outcome::Skipped(SkipReason::Cancelled)));
    let broken = template(
        "http:\n  - path: ['{{BaseURL}}']\n    matchers:\n      - {type: dsl, dsl: ['hex_decode(body) == \"x\"']}\n",
    );
    let ran = run(&broken, &web(SITE), http(|_| ok("zz")));
    assert_eq!(ran.verdict.outcome, Outcome::Failed(FailReason::Evaluation), "{:?}", ran.verdict.failure);
}

#[test]
fn a_redirect_out_of_scope_ends_the_chain_and_nothing_else() {
    use checks::exchange::Failure;
    let template = template(
        "http:\n  - path: ['{{BaseURL}}']\n    redirects: true\n    matchers:\n      - {type: word, part: header, words: ['Location: http://away.test']}\n",
    );
    let mut serve = http(|_| moved(302, "http://away.test/"));
    let ran = run(&template, &web(SITE), |request| match request {
        Request::Http(http) if http.origin.host == "away.test" => {
            Err(Failure::OutOfScope("away.test".to_owned()))
        }
        request => serve(request),
    });
    assert_eq!((ran.sent.len(), ran.places()), (2, vec!["http://site.test/"]));
}

#[test]
fn a_check_whose_redirect_led_out_of_scope_did_not_look() {
    use checks::exchange::Failure;
    let template = template(
        "http:\n  - path: ['{{BaseURL}}']\n    redirects: true\n    matchers:\n      - {type: word, words: [nowhere]}\n",
    );
    let mut serve = http(|_| moved(302, "http://away.test/"));
    let ran = run(&template, &web(SITE), |request| match request {
        Request::Http(http) if http.origin.host == "away.test" => {
            Err(Failure::OutOfScope("away.test is not yours".to_owned()))
        }
        request => serve(request),
    });
    assert_eq!(ran.verdict.outcome, Outcome::Skipped(SkipReason::OutOfScope));
    assert_eq!(ran.verdict.failure.as_deref(), Some("away.test is not yours"));
}

#[test]
fn named_matchers_are_findings_of_their_own_under_or() {
    let template = |condition: &str| {
        template(&format!(
            "http:\n  - path: ['{{{{BaseURL}}}}']\n    matchers-condition: {condition}\n    matchers:\n      - {{type: word, name: first, words: [one]}}\n      - {{type: word, name: second, words: [two]}}\n      - {{type: word, words: [three]}}\n"
        ))
    };
    let names = |condition: &str, body: &'static str| {
        run(&template(condition), &web(SITE), http(|_| ok(body))).names()
    };
    assert_eq!(names("or", "one two three"), ["first", "second"]);
    assert_eq!(names("or", "three"), [""]);
    assert_eq!(names("or", "nothing"), Vec::<String>::new());
    assert_eq!(names("and", "one two three"), ["first"]);
    assert_eq!(names("and", "one two"), Vec::<String>::new());
}

#[test]
fn names_of_headers_match_in_their_canonical_form() {
    let template = template(
        "http:\n  - path: ['{{BaseURL}}']\n    matchers-condition: and\n    matchers:\n      - {type: word, part: header, words: ['X-Powered-By: Express']}\n      - {type: dsl, dsl: ['x_powered_by == \"Express\" && session == \"7\"']}\n      - {type: word, part: x_powered_by, words: [Express]}\n",
    );
    let headers = [("x-powered-BY", "Express"), ("set-cookie", "session=7; Path=/")];
    let ran = run(&template, &web(SITE), http(|_| answer(200, &headers, "")));
    assert_eq!(ran.verdict.outcome, Outcome::Matched);
    assert!(
        ran.verdict.matches[0].evidence[0].response.contains("x-powered-BY"),
        "evidence is what was received"
    );
}

#[test]
fn a_target_cannot_take_the_name_of_a_variable() {
    let template = template(
        "variables: {secret: template}\nhttp:\n  - path: ['{{BaseURL}}']\n    matchers:\n      - {type: dsl, dsl: ['secret == \"target\" || Host == \"target\" || body == \"target\"']}\n",
    );
    let headers = [("Secret", "target"), ("Host", "target"), ("body", "target")];
    let ran = run(&template, &web(SITE), http(|_| answer(200, &headers, "")));
    assert_eq!(ran.verdict.outcome, Outcome::NotMatched);
}

#[test]
fn equal_requests_have_equal_keys_and_others_do_not() {
    let key = |fields: &str| {
        let template = template(&format!(
            "http:\n  - {fields}\n    matchers:\n      - {{type: status, status: [200]}}\n"
        ));
        checks::request_key(&run(&template, &web(SITE), http(|_| ok(""))).sent[0])
    };
    let path = key("path: ['{{BaseURL}}/a']");
    assert!(path.is_some());
    assert_eq!(
        path,
        key("raw: [\"GET /a HTTP/1.1\\nHost: {{Hostname}}\\n\"]"),
        "a raw request may be the same request"
    );
    assert_ne!(path, key("path: ['{{BaseURL}}/b']"));
    assert_ne!(path, key("path: ['{{BaseURL}}/a']\n    headers: {X: y}"));
    assert_ne!(path, key("path: ['{{BaseURL}}/a']\n    max-size: 10"));
    assert_eq!(key("path: ['{{BaseURL}}/a']\n    method: POST"), None);
    assert_eq!(key("path: ['{{BaseURL}}/a']\n    body: x"), None);
}

#[test]
fn evidence_is_cut_around_what_matched() {
    let template =
        template("http:\n  - path: ['{{BaseURL}}']\n    matchers:\n      - {type: word, words: [needle]}\n");
    let body = format!("{}needle{}", "a".repeat(100_000), "b".repeat(100_000));
    let ran = run(&template, &web(SITE), http(|_| ok(&body)));
    let evidence = &ran.verdict.matches[0].evidence[0];
    assert!(evidence.response.len() <= checks::run::MAX_EVIDENCE && evidence.truncated);
    assert!(evidence.response.starts_with("HTTP/1.1 200") && evidence.response.contains("aneedleb"));
    assert_eq!(evidence.matched, ["needle"]);
    assert!(evidence.request.starts_with("GET / HTTP/1.1\r\nHost: site.test\r\n"));
}

#[test]
fn what_may_stand_in_the_unread_rest_of_an_answer_is_not_called_absent() {
    let cut = |body: &str| checks::exchange::HttpResponse { truncated: true, ..ok(body) };
    let outcome = |operators: &str, body: &str| {
        let template = template(&format!("http:\n  - path: ['{{{{BaseURL}}}}']\n    {operators}\n"));
        run(&template, &web(SITE), http(|_| cut(body))).verdict.outcome
    };
    let unknown = Outcome::Failed(FailReason::Incomplete);
    let word = "matchers: [{type: word, words: [needle]}]";
    assert_eq!(outcome(word, "hay"), unknown);
    assert_eq!(outcome(word, "a needle"), Outcome::Matched);
    assert_eq!(outcome("matchers: [{type: dsl, dsl: ['contains(body, \"needle\")']}]", "hay"), unknown);
    assert_eq!(outcome("extractors: [{type: regex, regex: ['needle']}]", "hay"), unknown);
    // Nothing in the rest could change these.
    let both = |status: u16| {
        format!(
            "matchers-condition: and\n    matchers: [{{type: word, words: [needle]}}, {{type: status, status: [{status}]}}]"
        )
    };
    assert_eq!(outcome(&both(200), "hay"), unknown);
    assert_eq!(outcome(&both(500), "hay"), Outcome::NotMatched);
    assert_eq!(outcome("matchers: [{type: status, status: [500]}]", "hay"), Outcome::NotMatched);
    assert_eq!(
        outcome("matchers: [{type: word, part: header, words: [needle]}]", "hay"),
        Outcome::NotMatched
    );
    assert_eq!(
        outcome(&format!("max-size: 3\n    {word}"), "hay"),
        Outcome::NotMatched,
        "the template's own limit"
    );
    // Absence on the beginning is not absence.
    let negative = "{type: word, negative: true, words: [needle]}";
    assert_eq!(outcome(&format!("matchers: [{negative}]"), "hay"), unknown);
    assert_eq!(
        outcome(&format!("matchers: [{negative}]"), "a needle"),
        Outcome::NotMatched,
        "found is found"
    );
    assert_eq!(outcome("matchers: [{type: dsl, dsl: ['!contains(body, \"needle\")']}]", "hay"), unknown);
    assert_eq!(
        outcome(
            "matchers: [{type: dsl, dsl: ['status_code != 404 && contains(body, \"needle\")']}]",
            "needle"
        ),
        Outcome::Matched
    );
    let or_status = format!("matchers: [{negative}, {{type: status, status: [200]}}]");
    assert_eq!(outcome(&or_status, "hay"), Outcome::Matched);
    let and_status =
        format!("matchers-condition: and\n    matchers: [{negative}, {{type: status, status: [200]}}]");
    assert_eq!(outcome(&and_status, "hay"), unknown);
}
