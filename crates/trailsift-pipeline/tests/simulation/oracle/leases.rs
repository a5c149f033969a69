//! D3, D4 and D9: who may do what with a message, and how many a replica has in hand.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;
use trailsift_core::{LogFile, MessageId, Receipt};
use trailsift_pipeline::Budget;
use trailsift_testkit::{QueueEvent, QueueOp};

use super::{Breach, Scene};
use crate::history::{Event, Life, Recorded, Told};
use crate::script::BUCKET;
use crate::setup::{Play, Setup};

/// One delivery, as the replica that got it knows it.
#[derive(Debug)]
struct Delivery {
    id: MessageId,
    until: Instant,
    lost: bool,
}

#[derive(Debug)]
pub(super) struct Leases {
    workers: usize,
    deliveries: HashMap<(Life, usize, Receipt), Delivery>,
    newest: HashMap<(Life, usize, MessageId), Receipt>,
    /// What is being read, each from its start, by the number of its reading.
    readings: HashMap<usize, (Life, usize, LogFile)>,
    /// What a process tried to give back, and what it was told of its deletes.
    done_with: HashSet<(Life, usize, Receipt)>,
    /// The messages that were given back, or never handed out.
    given_back: HashSet<(usize, MessageId)>,
}

impl Leases {
    pub(super) fn new(setup: &Setup) -> Self {
        let settings = &setup.settings;
        let budget =
            Budget::plan(settings.memory, settings.workers, setup.accounts, settings.max_record);
        Self {
            workers: budget.workers_per_account,
            deliveries: HashMap::new(),
            newest: HashMap::new(),
            readings: HashMap::new(),
            done_with: HashSet::new(),
            given_back: HashSet::new(),
        }
    }

    pub(super) fn witness(
        &mut self,
        scene: &Scene<'_>,
        Recorded { at, event }: &Recorded,
    ) -> Result<(), Breach> {
        match event {
            Event::Queue {
                account,
                event: QueueEvent::Sent { id } | QueueEvent::Released { id, .. },
            } => {
                self.given_back.insert((*account, id.clone()));
                Ok(())
            }
            Event::Queue { account, event: QueueEvent::Received { id, .. } } => {
                // D3: where nothing fails, a lease is kept until its message is given back.
                let given_back = self.given_back.remove(&(*account, id.clone()));
                if scene.setup.play == Play::Calm && !given_back {
                    let what = format!("{id} is delivered again, without a fault");
                    return Err(Breach::new("D3", what));
                }
                Ok(())
            }
            Event::Receives { life, account, max } => self.may_receive(*life, *account, *max),
            Event::Has { life, account, id, receipt, until } => {
                let delivery = Delivery { id: id.clone(), until: *until, lost: false };
                self.deliveries.insert((*life, *account, receipt.clone()), delivery);
                self.newest.insert((*life, *account, id.clone()), receipt.clone());
                Ok(())
            }
            Event::Ended { life, .. } => self.may_end(*life, *at),
            Event::IsTold { life, account, op: QueueOp::Delete, receipt, .. } => {
                self.done_with.insert((*life, *account, receipt.clone()));
                Ok(())
            }
            Event::Asks { life, account, op, receipt } => {
                if *op == QueueOp::Release {
                    self.done_with.insert((*life, *account, receipt.clone()));
                }
                self.may_ask(*life, *account, *op, receipt, *at)
            }
            Event::IsTold { life, account, op: QueueOp::Extend, receipt, what } => {
                let place = (*life, *account, receipt.clone());
                if let Some(delivery) = self.deliveries.get_mut(&place) {
                    match what {
                        Told::Done(Some(until)) => delivery.until = *until,
                        Told::LeaseLost => delivery.lost = true,
                        _ => {}
                    }
                }
                Ok(())
            }
            Event::Opens { life, account, reading, file, from } => {
                self.may_open(scene, *life, *account, file, from.is_none())?;
                if from.is_none() {
                    self.readings.insert(*reading, (*life, *account, file.clone()));
                }
                Ok(())
            }
            Event::Closes { reading, .. } => {
                self.readings.remove(reading);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// D4: only as many as there are free workers. Whoever reads an object is not free; there may
    /// be more who are not, so this forgives, and never accuses wrongly.
    fn may_receive(&self, life: Life, account: usize, max: usize) -> Result<(), Breach> {
        let same = |(whose, of, _): &&(Life, usize, LogFile)| *whose == life && *of == account;
        let busy = self.readings.values().filter(same).count();
        if max + busy > self.workers {
            let workers = self.workers;
            let what = format!("{life} asks for {max} messages, {busy} of {workers} workers busy");
            return Err(Breach::new("D4", what));
        }
        Ok(())
    }

    /// D3: whatever is done with a message is done with the newest receipt that this process has
    /// been handed, and nothing is settled with a lease that it knows to be over.
    fn may_ask(
        &self,
        life: Life,
        account: usize,
        op: QueueOp,
        receipt: &Receipt,
        at: Instant,
    ) -> Result<(), Breach> {
        let breach = |what| Err(Breach::new("D3", format!("{life}: {op:?} {}: {what}", receipt.0)));
        let Some(delivery) = self.deliveries.get(&(life, account, receipt.clone())) else {
            return breach("this process was never handed this receipt".to_owned());
        };
        let newest = &self.newest[&(life, account, delivery.id.clone())];
        if newest != receipt {
            return breach(format!("the newest receipt of {} is {}", delivery.id, newest.0));
        }
        if op != QueueOp::Extend && delivery.lost {
            return breach("this lease is known to be lost".to_owned());
        }
        if op != QueueOp::Extend && at >= delivery.until {
            return breach("this lease has run out".to_owned());
        }
        Ok(())
    }

    /// D9: whoever stops gives back what is not settled, unless the lease has gone anyway.
    fn may_end(&self, life: Life, at: Instant) -> Result<(), Breach> {
        let held = self.newest.iter().find(|((whose, account, _), receipt)| {
            let place = (life, *account, (*receipt).clone());
            let has_gone = |delivery: &Delivery| delivery.lost || delivery.until <= at;
            *whose == life
                && !self.done_with.contains(&place)
                && !self.deliveries.get(&place).is_none_or(has_gone)
        });
        held.map_or(Ok(()), |((_, account, id), _)| {
            let what = format!("{life} ends with {id} of queue {account} neither deleted");
            Err(Breach::new("D9", format!("{what} nor given back")))
        })
    }

    /// A redelivery joins the work that goes on, and a second message about an object waits for the
    /// first: a process never reads one object twice at once. And it reads only what it may.
    fn may_open(
        &self,
        scene: &Scene<'_>,
        life: Life,
        account: usize,
        file: &LogFile,
        from_start: bool,
    ) -> Result<(), Breach> {
        let is_named = scene
            .letters
            .values()
            .any(|letter| letter.account == account && letter.body.contains(&file.key));
        if file.bucket != BUCKET || !is_named {
            return Err(Breach::new("D2", format!("{life} opens {file}, which nobody named")));
        }
        let reading = (life, account, file.clone());
        if from_start && self.readings.values().any(|other| *other == reading) {
            return Err(Breach::new("D3", format!("{life} reads {file} twice at once")));
        }
        Ok(())
    }
}
