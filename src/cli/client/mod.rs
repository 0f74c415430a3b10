//! `ringframe client`: orders by hand, or from a script, and what comes back.
#![expect(clippy::disallowed_methods, reason = "standard input blocks, so a thread reads it")]

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use ringframe::client::{Client, ClientError, Login};
use ringframe::clock::Clock;
use ringframe::tls::{Connector, Identity, Trust};
use ringframe::types::Nanos;
use ringframe::wire::layout::Alpha;
use ringframe::wire::ouch::{Inbound, Token};
use rustyline::{DefaultEditor, ExternalPrinter};

use super::{Answer, Failure};
use line::Line;

pub(super) mod line;
mod show;

/// So long it waits for an answer before it looks for the next line.
const LOOK: Duration = Duration::from_millis(10);

/// Send orders and show what comes back
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe client
  echo 'buy 100 AAPL 230.00' | ringframe client --user TRDR07

Each line is a message or a word; `help` lists them. On a terminal lines can be edited and have a
history. Lines from a file or a pipe are sent one after the other; after the last one it waits for
answers to all orders, then until nothing has come for --linger, and ends with code 1 when an order
has none.")]
pub(crate) struct ClientArgs {
    #[command(flatten)]
    login: LoginArgs,
    /// Where order entry is; with a comma a pair's, of which the one that leads lets us in
    #[arg(long, value_name = "ADDR", value_delimiter = ',', default_value = "127.0.0.1:9001")]
    target: Vec<String>,
    /// The first message to be shown: 1 for all of the session, 0 for only new ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    sequence: u64,
    /// From a script: wait at most so long for answers
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    /// From a script: then end when nothing has come for so long
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 500)]
    linger: u64,
}

/// Who logs in.
#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    /// The user; the password is asked for, or stands in `RINGFRAME_PASSWORD`
    #[arg(long, value_name = "NAME", default_value = "TRDR01")]
    user: String,
    /// The session, when it is not the user's current one
    #[arg(long, value_name = "NAME", default_value = "")]
    session: String,
    #[command(flatten)]
    tls: TlsArgs,
}

/// Whom to trust.
#[derive(Debug, Args)]
struct TlsArgs {
    /// Connect inside TLS, and trust whom an authority in this PEM file does
    #[arg(long = "tls-ca", value_name = "FILE", conflicts_with = "pin")]
    ca: Option<PathBuf>,
    /// Connect inside TLS, and trust the certificate in this PEM file alone
    #[arg(long = "tls-pin", value_name = "FILE")]
    pin: Option<PathBuf>,
    /// What the server's certificate calls it, if not what --target does
    #[arg(long = "tls-name", value_name = "NAME")]
    name: Option<String>,
    /// The certificate to show to the server, in PEM
    #[arg(long = "tls-certificate", value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// That certificate's private key, in PEM
    #[arg(long = "tls-key", value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
}

impl TlsArgs {
    fn connector(&self) -> Result<Option<Connector>, Failure> {
        let trust = match (&self.ca, &self.pin) {
            (Some(path), _) => Trust::Authorities(path.clone()),
            (None, Some(path)) => Trust::Pinned(path.clone()),
            (None, None) if self.name.is_none() && self.key.is_none() => return Ok(None),
            (None, None) => {
                let why = "whom to trust? TLS needs --tls-ca or --tls-pin";
                return Err(Failure::Usage(why.into()));
            }
        };
        let own = self.certificate.clone().zip(self.key.clone());
        let own = own.map(|(certificate, key)| Identity { certificate, key });
        let connector = Connector::new(&trust, own.as_ref(), self.name.as_deref());
        connector.map(Some).map_err(|error| Failure::Usage(error.to_string()))
    }
}

impl LoginArgs {
    pub(super) fn login(&self, targets: &[String], sequence: u64) -> Result<Login, Failure> {
        let is_demo = self.user.to_ascii_uppercase().starts_with("TRDR");
        let password = match std::env::var("RINGFRAME_PASSWORD") {
            Ok(password) => password,
            Err(_) if is_demo => "secret".to_owned(),
            Err(_) if io::stdin().is_terminal() => super::user::ask("Password: ")?,
            Err(_) => {
                let why = "set RINGFRAME_PASSWORD: standard input is for lines";
                return Err(Failure::Usage(why.into()));
            }
        };
        let login = Login::new("", &self.user, &password);
        Ok(Login {
            addresses: targets.to_vec(),
            session: self.session.clone(),
            sequence,
            tls: self.tls.connector()?,
            ..login
        })
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Login { .. } => Self::Usage(error.to_string()),
            _ => Self::Fault(error.to_string()),
        }
    }
}

pub(crate) fn run(args: &ClientArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let client = Client::connect(args.login.login(&args.target, args.sequence)?)?;
    let is_script = !(io::stdin().is_terminal() && io::stdout().is_terminal());
    let (sender, lines) = bounded(64);
    let soup = client.soup();
    let hello = format!("# session {}, next message {}", soup.session(), soup.next());
    let talk = Talk { client, is_script, tokens: Tokens::new(), number: 0 };
    if is_script {
        let patience = (args.wait, Duration::from_millis(args.linger));
        std::thread::spawn(move || read_lines(&sender));
        let mut say = |text: &str| -> io::Result<()> {
            writeln!(out, "{text}")?;
            out.flush()
        };
        say(&hello)?;
        return talk.run(&lines, patience, &mut say);
    }
    let (ready, printer) = bounded(1);
    let editing = std::thread::spawn(move || edit_lines(&sender, &ready));
    let Ok(mut printer) = printer.recv() else {
        let end = editing.join().expect("editing does not panic");
        return end.map(|()| Answer::Yes);
    };
    let mut say = |text: &str| printer(format!("{text}\n"));
    say(&format!("{hello}; `help` lists what can be said"))?;
    let answer = talk.run(&lines, Default::default(), &mut say);
    drop(lines);
    if let Err(failure) = &answer {
        say(&format!("# {failure}\n# press Enter to end"))?;
    }
    // It gives the terminal back as it was.
    editing.join().expect("editing does not panic")?;
    answer
}

type Say<'a> = &'a mut dyn FnMut(&str) -> io::Result<()>;

struct Talk {
    client: Client,
    is_script: bool,
    tokens: Tokens,
    /// Of the last line.
    number: usize,
}

impl Talk {
    /// After the last line it waits so many seconds for answers, and then until so long was quiet.
    fn run(
        mut self,
        lines: &Receiver<String>,
        (wait, linger): (u64, Duration),
        say: Say<'_>,
    ) -> Result<Answer, Failure> {
        let mut is_open = true;
        while is_open {
            let wait = match lines.try_recv() {
                Ok(line) => {
                    is_open = self.on_line(&line, say)?;
                    Duration::ZERO
                }
                Err(TryRecvError::Empty) => LOOK,
                Err(TryRecvError::Disconnected) => break,
            };
            self.receive(wait, say)?;
        }
        if self.is_script {
            let clock = Clock::new();
            let end = clock.now().after(wait.saturating_mul(Nanos::SECOND));
            while self.waits_for_orders() && clock.now() < end {
                self.receive(LOOK, say)?;
            }
            while self.receive(linger, say)? {}
        }
        let answer = if self.waits_for_orders() { Answer::No } else { Answer::Yes };
        for sent in self.client.unanswered() {
            say(&format!("# unanswered: {}", show::inbound(sent)))?;
        }
        // A server that is gone needs no good-bye.
        let _ = self.client.logout();
        Ok(answer)
    }

    /// Other messages may be met with silence.
    fn waits_for_orders(&self) -> bool {
        self.client.unanswered().any(|sent| matches!(sent, Inbound::Enter(_)))
    }

    /// `false` when nothing came.
    fn receive(&mut self, wait: Duration, say: Say<'_>) -> Result<bool, Failure> {
        match self.client.receive(wait) {
            Ok(Some(received)) => say(&show::received(&received))?,
            Ok(None) => return Ok(false),
            Err(error @ ClientError::Malformed { .. }) => say(&format!("# {error}"))?,
            Err(error) if error.is_lost() => self.come_back(&error, say)?,
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// A script wants all of its orders executed; at a terminal somebody decides.
    fn come_back(&mut self, lost: &ClientError, say: Say<'_>) -> Result<(), Failure> {
        say(&format!("# {lost}"))?;
        loop {
            let in_doubt = self.client.reconnect()?;
            say(&format!("# back, from message {}", self.client.soup().next()))?;
            for sent in self.client.unanswered() {
                say(&format!("# unanswered: {}", show::inbound(sent)))?;
            }
            if !self.is_script {
                if in_doubt > 0 {
                    say("# `resend` or `forget` these before anything else")?;
                }
                return Ok(());
            }
            match self.client.resend() {
                Ok(_) => return Ok(()),
                Err(error) if error.is_lost() => say(&format!("# {error}"))?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// `false` when it was the last one.
    fn on_line(&mut self, line: &str, say: Say<'_>) -> Result<bool, Failure> {
        self.number += 1;
        let parsed = match line::parse(line, &mut || self.tokens.next()) {
            Ok(parsed) => parsed,
            Err(why) if self.is_script => {
                let number = self.number;
                return Err(Failure::Usage(format!("line {number}: {why}; those before are sent")));
            }
            Err(why) => {
                say(&why)?;
                return Ok(true);
            }
        };
        let done = match parsed {
            Line::Message(message) => {
                say(&format!("> {}", show::inbound(&message)))?;
                self.client.send(message)
            }
            Line::Resend => self.client.resend().map(drop),
            Line::Forget => {
                self.client.forget();
                Ok(())
            }
            Line::Unanswered => {
                for sent in self.client.unanswered() {
                    say(&format!("# unanswered: {}", show::inbound(sent)))?;
                }
                Ok(())
            }
            Line::Help => return Ok(say(line::HELP).map(|()| true)?),
            Line::Quit => return Ok(false),
            Line::Nothing => Ok(()),
        };
        match done {
            Ok(()) => {}
            Err(error) if error.is_lost() => self.come_back(&error, say)?,
            Err(error @ ClientError::InDoubt { .. }) => say(&format!("# {error}"))?,
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }
}

/// Tokens that nobody has used today: the time, counted up.
struct Tokens(u64);

impl Tokens {
    fn new() -> Self {
        Self(Clock::new().now().0 / 1_000)
    }

    fn next(&mut self) -> Token {
        self.0 += 1;
        let mut letters = Vec::new();
        let mut rest = self.0;
        while rest > 0 {
            letters.push(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(rest % 36) as usize]);
            rest /= 36;
        }
        letters.reverse();
        let text = String::from_utf8(letters).expect("letters and digits");
        Alpha::new(&text).expect("64 bits are 13 letters")
    }
}

fn read_lines(lines: &Sender<String>) {
    // What is no text is no command, either, and is told as such.
    for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
        if lines.send(line).is_err() {
            return;
        }
    }
}

type Printer = Box<dyn FnMut(String) -> io::Result<()> + Send>;

/// Reads lines with editing and a history; gives away what prints above the line being edited.
fn edit_lines(lines: &Sender<String>, ready: &Sender<Printer>) -> Result<(), Failure> {
    let failed = |error| Failure::Fault(format!("the terminal: {error}"));
    let mut editor = DefaultEditor::new().map_err(failed)?;
    let mut printer = editor.create_external_printer().map_err(failed)?;
    let print = move |text| printer.print(text).map_err(io::Error::other);
    let _ = ready.send(Box::new(print));
    // The end of the input, and an interrupt, are the end.
    while let Ok(line) = editor.readline("> ") {
        let _ = editor.add_history_entry(line.as_str());
        if lines.send(line).is_err() {
            break;
        }
    }
    Ok(())
}
