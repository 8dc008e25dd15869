//! Texts in the styles that people write, changed in every way.

use serde_json::json;

use super::*;

/// The same two streams in six styles. `@path` in a comment says what it goes with, if that goes.
const STYLES: [&str; 6] = [
    // As the example has it.
    "# A box. @-\n\ndata_dir = \"/data\" # @data_dir\n\n[http] # @http\nlisten = [\"127.0.0.1:8080\"]\n# Pages. @-\ncors = []\n\n\
     # The gate. @stream.gate\n[stream.gate]\n# Where. @stream.gate\nsource = { kind = \"rtsp_pull\", url = \"rtsp://10.0.0.7/a\" } # @stream.gate.source\n\
     record = { keep_min = \"1GiB\" } # @stream.gate.record\n# Of nothing. @-\n\n# The yard. @stream.yard\n[stream.yard]\nsource = { kind = \"pattern\" }\n\n# The end. @-\n",
    // Every table with its header.
    "[http]\nlisten = [\n  \"127.0.0.1:8080\", # here @http.listen\n  # there @http.listen\n  \"[::1]:8080\",\n]\n\
     [stream.gate] # @stream.gate\n\n[stream.gate.source] # @stream.gate.source\nkind = \"rtsp_pull\"\nurl = \"rtsp://10.0.0.7/a\" # @stream.gate.source.url\n\
     [stream.gate.record]\nkeep_min = \"1GiB\"\n[stream.yard.source]\nkind = \"pattern\" # @stream.yard.source\n# The end. @-",
    // Dotted.
    "http.listen = [\"127.0.0.1:8080\"] # @http.listen\n# One. @-\nstream.gate.source.kind = \"rtsp_pull\" # @stream.gate.source.kind\n\
     stream.gate.source.url = 'rtsp://10.0.0.7/a' # @stream.gate.source.url\nstream.gate.record.keep_min = \"1GiB\"\n# Two. @-\nstream.yard.source.kind = \"pattern\"\n",
    // Inline.
    "# Top. @-\nstream = { gate = { source = { kind = \"rtsp_pull\", url = \"rtsp://10.0.0.7/a\" }, record = { keep_min = \"1GiB\" } }, yard = { source = { kind = \"pattern\" } } } # @stream\n\
     http = { listen = [\"127.0.0.1:8080\"] }\n",
    // Split up, in an order of its own, with Windows' line ends and its mark.
    "\u{feff}# Top. @-\r\n[stream.yard]\r\nsource.kind = \"pattern\" # @stream.yard.source\r\n\r\n[http]\r\nlisten = [\"127.0.0.1:8080\"]\r\n# Apart. @-\r\n\r\n\
     [stream.gate.source]\r\n\tkind = \"rtsp_pull\" # @stream.gate.source.kind\r\n\turl = \"rtsp://10.0.0.7/a\"\r\n\r\n[ring]\r\nsize = \"50%\" # @ring.size\r\n\r\n[stream.gate]\r\nrecord = { keep_min = \"1GiB\" } # @stream.gate.record\r\n# End. @-\r\n",
    // Nothing but the header of all.
    "[stream]\n# First. @-\ngate = { source = { kind = \"rtsp_pull\", url = \"rtsp://10.0.0.7/a\" }, record = { keep_min = \"1GiB\" } } # @stream.gate\n\n\
     yard.source = { kind = \"pattern\" } # @stream.yard.source\n[http]\n# Empty. @-\nlisten = [\"127.0.0.1:8080\"] # @http.listen\n",
];

fn changed(text: &str, patch: Json) -> String {
    apply(text, &patch).unwrap_or_else(|error| panic!("{error}: {patch}\n{text}"))
}

#[test]
fn a_value_is_changed_where_it_is() {
    let text = STYLES[0];
    let patch = json!({"stream": {"gate": {"source": {"url": "rtsp://10.0.0.8/b"}}}});
    assert_eq!(changed(text, patch), text.replace("10.0.0.7/a", "10.0.0.8/b"));
    for text in STYLES {
        let patch = json!({"stream": {"gate": {"source": {"url": "rtsp://10.0.0.8/b"}}}});
        let wanted = text.replace("10.0.0.7/a", "10.0.0.8/b");
        assert_eq!(changed(text, patch).replace('\'', "\""), wanted.replace('\'', "\""));
        assert_eq!(changed(text, json!({})), text);
        let same = json!({"stream": {"gate": {"record": {"keep_min": "1GiB"}}, "none": null}});
        assert_eq!(changed(text, same), text);
    }
}

#[test]
fn a_key_is_added_behind_the_last_of_its_table() {
    let told = changed(STYLES[0], json!({"http": {"hosts": ["nvr.example"]}}));
    assert_eq!(told, STYLES[0].replace("cors = []\n", "cors = []\nhosts = [\"nvr.example\"]\n"));
    let told = changed(STYLES[1], json!({"stream": {"gate": {"title": "Gate"}}}));
    let wanted = STYLES[1].replace("# @stream.gate\n\n", "# @stream.gate\ntitle = \"Gate\"\n\n");
    assert_eq!(told, wanted);
    let told = changed(STYLES[2], json!({"stream": {"gate": {"source": {"transport": "tcp"}}}}));
    let (before, behind) = (
        "url\nstream.gate.record",
        "url\nstream.gate.source.transport = \"tcp\"\nstream.gate.record",
    );
    assert_eq!(told, STYLES[2].replace(before, behind));
    let told = changed(STYLES[3], json!({"stream": {"yard": {"title": "Yard"}}}));
    let wanted = STYLES[3].replace("\"pattern\" } }", "\"pattern\" }, title = \"Yard\" }");
    assert_eq!(told, wanted);
    let told = changed(STYLES[4], json!({"stream": {"gate": {"source": {"transport": "tcp"}}}}));
    let wanted = STYLES[4].replace("/a\"\r\n\r\n", "/a\"\r\n\ttransport = \"tcp\"\r\n\r\n");
    assert_eq!(told, wanted);
    let told = changed(STYLES[1], json!({"stream": {"yard": {"title": "Yard"}}}));
    assert!(told.ends_with("# The end. @-\n\n[stream.yard]\ntitle = \"Yard\"\n"), "{told}");
}

#[test]
fn a_stream_is_added_at_the_end() {
    let stream =
        json!({"stream": {"door": {"source": {"kind": "rtsp_push"}, "title": "Tür \"1\""}}});
    let section = "[stream.door]\nsource = { kind = \"rtsp_push\" }\ntitle = 'Tür \"1\"'\n";
    for (style, text) in STYLES.iter().enumerate() {
        let told = changed(text, stream.clone());
        match style {
            3 => assert!(
                told.contains(", door = { source = { kind = \"rtsp_push\" }, title ="),
                "{told}"
            ),
            4 => assert_eq!(told, format!("{text}\r\n{}", section.replace('\n', "\r\n"))),
            1 => assert_eq!(told, format!("{text}\n\n{section}")),
            2 => assert!(
                told.ends_with("title = 'Tür \"1\"' }\n") || told.ends_with(section),
                "{told}"
            ),
            _ => assert_eq!(told, format!("{text}\n{section}")),
        }
    }
    assert_eq!(changed("", stream), section);
}

#[test]
fn what_is_removed_takes_only_its_own_comments() {
    let told = changed(STYLES[0], json!({"stream": {"yard": null}}));
    let gone = "# The yard. @stream.yard\n[stream.yard]\nsource = { kind = \"pattern\" }\n\n";
    assert_eq!(told, STYLES[0].replace(gone, ""));
    let told = changed(STYLES[0], json!({"stream": {"gate": null}}));
    assert!(told.contains("# Of nothing. @-\n\n# The yard.") && !told.contains("gate"), "{told}");
    let told = changed(STYLES[4], json!({"stream": {"gate": null}}));
    assert!(told.contains("# Apart. @-\r\n") && told.contains("[ring]\r\nsize"), "{told}");
    let told = changed(STYLES[0], json!({"stream": {"gate": {"record": false}}}));
    assert_eq!(told, STYLES[0].replace("{ keep_min = \"1GiB\" }", "false"));
    let told = changed(STYLES[1], json!({"stream": {"gate": {"record": false}}}));
    assert!(told.contains("[stream.gate] # @stream.gate\nrecord = false\n"), "{told}");
}

#[test]
fn the_last_section_of_its_kind_can_go() {
    for rest in ["", "[http]\ncors = []\n"] {
        let text = format!("[stream.yard]\nsource = {{ kind = \"pattern\" }}\n{rest}");
        assert_eq!(changed(&text, json!({"stream": {"yard": null}})), rest);
    }
}

#[test]
fn a_list_keeps_the_comments_of_what_stays() {
    let told =
        changed(STYLES[1], json!({"http": {"listen": ["0.0.0.0:80", "[::1]:8080", "[::1]:9"]}}));
    let wanted = STYLES[1].replace("127.0.0.1:8080", "0.0.0.0:80");
    let wanted = wanted.replace("\"[::1]:8080\",\n", "\"[::1]:8080\",\n  \"[::1]:9\",\n");
    assert_eq!(told, wanted);
    let told = changed(STYLES[1], json!({"http": {"listen": ["127.0.0.1:8080"]}}));
    assert!(told.contains("# here @http.listen\n"), "{told}");
}

#[test]
fn what_toml_cannot_hold_is_refused() {
    for patch in
        [json!({"http": {"listen": [null]}}), json!({"ring": {"size": u64::MAX}}), json!(7)]
    {
        assert!(
            matches!(apply(STYLES[0], &patch), Err(EditError::Unrepresentable { .. })),
            "{patch}"
        );
    }
    assert_eq!(apply("a = = 1", &json!({})), Err(EditError::NotToml));
}

/// The comments of a text, in their order.
fn comments(text: &str) -> Vec<String> {
    let of_line = |line: &str| line.find("# ").map(|at| line[at..].trim_end().to_owned());
    text.lines().filter_map(of_line).collect()
}

/// The paths of all keys, in the order in which they are written.
fn keys(text: &str) -> Vec<String> {
    fn walk(path: &str, item: &Item, found: &mut Vec<(usize, String)>) {
        if let Item::Table(table) = item {
            for (key, item) in table {
                walk(&format!("{path}.{key}"), item, found);
            }
        } else if let Some(span) = item.span() {
            found.push((span.start, path.to_owned()));
        }
    }
    let doc = Document::parse(text).unwrap();
    let mut found = Vec::new();
    walk("", doc.as_item(), &mut found);
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

fn is_subsequence(part: &[String], whole: &[String]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|item| whole.any(|other| other == item))
}

/// A random change, and the path that it removes.
fn random(random: &mut fastrand::Rng) -> (Json, Option<String>) {
    let name = ["gate", "yard", "door", "x-1"][random.usize(..4)];
    let number = random.i64(0..5);
    let texts =
        [json!("a"), json!("it's"), json!("say \"so\""), json!("ü #no comment"), json!("\n\u{7}")];
    let text = texts[random.usize(..5)].clone();
    let of_stream = |inner: Json| json!({"stream": {(name): inner}});
    match random.usize(..14) {
        0 => (of_stream(json!({"title": text})), None),
        1 => (of_stream(json!({"source": {"url": text, "fps": number}})), None),
        2 => (of_stream(json!({"order": number, "enabled": number > 2})), None),
        3 => (
            of_stream(json!({"record": {"keep_min": format!("{number}GiB"), "max_age": "30d"}})),
            None,
        ),
        4 => (of_stream(json!({"record": number > 2})), Some(format!("stream.{name}.record."))),
        5 => (of_stream(Json::Null), Some(format!("stream.{name}"))),
        6 => {
            (of_stream(json!({"source": {"url": null}})), Some(format!("stream.{name}.source.url")))
        }
        7 => (of_stream(json!({"record": null})), Some(format!("stream.{name}.record"))),
        8 => (of_stream(json!({"title": null, "order": null})), Some(format!("stream.{name}."))),
        9 => (
            json!({"http": {"listen": (0..number).map(|n| format!("[::1]:{n}")).collect::<Vec<_>>()}}),
            Some("http.listen".to_owned()),
        ),
        10 => (json!({"http": {"hosts": [text, "b"], "https_required": true}}), None),
        11 => (json!({"ring": {"size": format!("{}%", number + 1)}}), None),
        12 => (
            json!({"hls": {"low_latency": number > 2}, "rtsp": {"multicast": {"port": number}}}),
            None,
        ),
        _ => (json!({"rtsp": null, "hls": null}), Some("none".to_owned())),
    }
}

#[test]
fn a_thousand_changes_keep_every_comment_and_the_order_and_say_what_was_asked() {
    for (style, text) in STYLES.iter().enumerate() {
        let mut rng = fastrand::Rng::with_seed(style as u64);
        let mut text = (*text).to_owned();
        for step in 0..170 {
            let (patch, removes) = random(&mut rng);
            let wanted = merged(text.parse().unwrap(), &patch).unwrap();
            let after = changed(&text, patch.clone());
            let told = || format!("style {style}, step {step}: {patch}\n{text}\n---\n{after}");
            assert_eq!(after.parse::<Table>().unwrap(), wanted, "{}", told());
            let stays = |comment: &&String| {
                let owner = comment.rsplit_once('@').map_or("-", |(_, owner)| owner);
                removes.as_ref().is_none_or(|path| !owner.starts_with(path.trim_end_matches('.')))
            };
            let before: Vec<String> = comments(&text).iter().filter(stays).cloned().collect();
            assert!(is_subsequence(&before, &comments(&after)), "comments: {}", told());
            let written = keys(&after);
            let order: Vec<String> =
                keys(&text).into_iter().filter(|key| written.contains(key)).collect();
            assert!(is_subsequence(&order, &written), "order: {}", told());
            let crlf = text.contains("\r\n");
            assert_eq!(
                after.matches('\n').count() == after.matches("\r\n").count(),
                crlf,
                "{}",
                told()
            );
            text = after;
        }
    }
}
