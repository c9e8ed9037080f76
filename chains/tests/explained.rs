//! How programs read in `explain()`: computations with branches say each line once, however many there are.

use chainring_chains::{Chain, Flow, Program};

/// The line of the report that says what runs behind the only segment.
fn behind_the_segment(steps: impl FnOnce(&mut Chain<()>)) -> String {
    let mut c = Chain::new("test");
    let (sock, data) = (c.socket(), c.buffer(8));
    c.recv_exact(sock, data.all());
    steps(&mut c);
    let program: Program<()> = c.build().unwrap_or_else(|error| panic!("{error}"));
    let text = program.explain().to_string();
    let then = text.lines().rev().find_map(|line| line.trim().strip_prefix("then "));
    then.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn blocks_are_told_from_what_follows_them() {
    let text = behind_the_segment(|c| {
        let n = c.param();
        c.when(n.eq(1), |c| c.set(n, 2));
        c.when(n.eq(2), |c| c.set(n, 3)).otherwise(|c| c.finish());
        c.call((), |(), ()| Flow::Next);
    });
    assert_eq!(
        text,
        "when r0 == 1 #2 { r0 = 2 #3 }; when r0 == 2 #4 { r0 = 3 #5 } otherwise { finish }; call #7; finish"
    );
}

#[test]
fn loops_end_where_they_begin_again_or_are_left() {
    let text = behind_the_segment(|c| {
        let n = c.param();
        c.repeat(|c| {
            c.when(n.eq(0), |c| c.leave());
            c.set(n, n - 1);
        });
        c.set(n, 7);
    });
    assert_eq!(text, "when r0 == 0 #3 { r0 = 7 #6; finish }; r0 = r0 - 1 #5; again");
    let text = behind_the_segment(|c| {
        let n = c.param();
        c.when(n.eq(0), |c| c.finish()).otherwise(|c| c.finish());
    });
    assert_eq!(text, "when r0 == 0 #2 { finish } otherwise { finish }");
}

#[test]
fn a_hundred_branches_in_a_row_make_a_hundred_lines_worth_of_text() {
    let text = behind_the_segment(|c| {
        let n = c.param();
        for i in 0..100 {
            c.when(n.eq(i), |c| c.set(n, n + 1)).otherwise(|c| c.set(n, n + 2));
        }
    });
    assert!(text.len() < 100 * 80, "{} bytes", text.len());
}

#[test]
fn a_graph_shows_where_each_segment_leads() {
    let mut c = Chain::<()>::new("graph");
    let (sock, len, errno) = (c.accepted(), c.reg(), c.reg());
    let data = c.buffer(16);
    c.attempt(|c| {
        c.repeat(|c| {
            c.recv(sock, data.all()).into(len).or_finish();
            c.when(len.eq(1), |c| c.leave());
            c.send_all(sock, data.to(len));
        });
    })
    .on_error(errno, |c| {
        c.recv_exact(sock, data.all());
    });
    let graph = c.build().expect("the chain is right").explain().dot();
    for edge in [
        "start -> segment0;",
        "segment0 [label=\"segment 0\\lrecv #3 s0 -> b0[0..16], count -> r0\\l\"];",
        "segment0 -> finish;",
        "segment0 -> segment2;",
        "segment0 -> segment1 [style=dashed];",
        "segment1 -> finish;",
    ] {
        assert!(graph.contains(edge), "{edge} is missing:\n{graph}");
    }
    assert!(!graph.contains("segment0 -> segment1;"), "nothing between the two can fail:\n{graph}");
}

#[test]
fn each_pass_shows_what_it_made_of_the_one_before() {
    let mut c = Chain::<()>::new("counted");
    let (sock, sent, other) = (c.accepted(), c.param(), c.reg());
    let (head, tail) = (c.constant(b"head"), c.constant(b"tail"));
    c.repeat(|c| {
        c.send_all(sock, head.all());
        c.set(sent, sent + 1);
        c.send_all(sock, tail.all());
        c.set(other, 1);
        c.when(sent.eq(3), |c| c.finish());
    });
    let program = c.build().unwrap();
    let text = program.explain().passes().to_string();
    // The code is the runtime's, and changes with it.
    let (before_code, code) = text.split_once("\n  code: what runs between segments\n").unwrap();
    assert_eq!(
        before_code,
        "\
chain counted, pass by pass

  flatten: blocks are lines
       0  send_all #2   s0 <- k0[0..4]
       1  r0 = r0 + 1 #3
       2  send_all #4   s0 <- k1[0..4]
       3  r1 = 1 #5
       4  unless r0 == 3 go to 6 #6
       5  finish #7
       6  go to 0 #1
       7  end #1

  hoist: what could be submitted together stands together
    line 1 is line 0 now

  live: registers that are read later, before each line
       0  r0
       1  r0
       2  r0
       3  r0
       4  r0
       6  r0

  segment: what is submitted at once
       0  lines 1 2; then line 3: `set` follows, which runs between submissions
"
    );
    assert!(code.contains("line 1    Submit(0)") && code.contains("Finish"), "{code}");
}

#[test]
fn what_was_moved_is_shown_where_it_was_written() {
    let mut c = Chain::<()>::new("two");
    let (sock, a, b) = (c.accepted(), c.param(), c.param());
    let data = c.constant(b"data");
    // Both move up in front of the first, one after the other.
    c.send_all(sock, data.all());
    c.set(a, a + 1);
    c.send_all(sock, data.all());
    c.set(b, a + b);
    c.send_all(sock, data.all());
    c.ensure(b.le(7), 1);
    let text = c.build().unwrap().explain().passes().to_string();
    let names = |name| {
        let pass = text.split(name).nth(1).unwrap().split("\n\n").next().unwrap();
        let words = pass.lines().filter_map(|line| line.split_whitespace().nth(1));
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names("blocks are lines")[..5], ["send_all", "r0", "send_all", "r1", "send_all"]);
    assert!(text.contains("line 1 is line 0 now\n    line 3 is line 1 now"), "{text}");
}
