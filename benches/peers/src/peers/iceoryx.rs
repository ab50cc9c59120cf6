//! iceoryx2: publish-subscribe with a copy or with a loan, polling or waiting for events.

use core::time::Duration;

use anyhow::{Result, anyhow};
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::port::{listener::Listener, notifier::Notifier, publisher::Publisher, subscriber::Subscriber};
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::{event, publish_subscribe};

use crate::peers::queues::{Fifo, Words, until_some};
use crate::peers::unique;
use crate::trial::Place;

// SAFETY: an array of words: no pointers, the same in every process.
unsafe impl<const W: usize> ZeroCopySend for Words<W> {}

type Service = ipc::Service;
const BUFFER: usize = 1024;

pub fn quiet() {
    iceoryx2::prelude::set_log_level(iceoryx2::prelude::LogLevel::Error);
}

pub fn error(e: impl core::fmt::Debug) -> anyhow::Error {
    anyhow!("iceoryx2: {e:?}")
}

/// A publisher, a subscriber, and for `EVENTS` a notification for each item.
pub struct PubSub<const EVENTS: bool> {
    name: String,
}

pub struct Tx<const W: usize> {
    publisher: Publisher<Service, Words<W>, ()>,
    notifier: Option<Notifier<Service>>,
    _node: Node<Service>,
}

pub struct Rx<const W: usize> {
    subscriber: Subscriber<Service, Words<W>, ()>,
    listener: Option<Listener<Service>>,
    _node: Node<Service>,
}

impl<const EVENTS: bool, const W: usize> Fifo<W> for PubSub<EVENTS> {
    const NAME: &'static str =
        if EVENTS { "iceoryx2 publish-subscribe, events" } else { "iceoryx2 publish-subscribe, polling" };
    const PLACE: Place = Place::Processes;
    const MANY: bool = false;
    type Tx<'a> = Tx<W>;
    type Rx<'a> = Rx<W>;

    fn make(_: usize) -> Result<Self> {
        Ok(Self { name: unique() })
    }

    fn tx(&self) -> Result<Tx<W>> {
        let node = NodeBuilder::new().create::<Service>().map_err(error)?;
        let service = samples(&node, &self.name)?;
        let publisher = service
            .publisher_builder()
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(error)?;
        // A sample that is published before anybody subscribes is lost.
        while service.dynamic_config().number_of_subscribers() == 0 {
            std::thread::yield_now();
        }
        publisher.update_connections().map_err(error)?;
        let notifier = match EVENTS {
            true => {
                let events = events(&node, &self.name)?;
                let notifier = events.notifier_builder().create().map_err(error)?;
                while events.dynamic_config().number_of_listeners() == 0 {
                    std::thread::yield_now();
                }
                Some(notifier)
            }
            false => None,
        };
        Ok(Tx { publisher, notifier, _node: node })
    }

    fn rx(&self) -> Result<Rx<W>> {
        let node = NodeBuilder::new().create::<Service>().map_err(error)?;
        let service = samples::<W>(&node, &self.name)?;
        let listener = match EVENTS {
            true => Some(events(&node, &self.name)?.listener_builder().create().map_err(error)?),
            false => None,
        };
        let subscriber = service.subscriber_builder().buffer_size(BUFFER).create().map_err(error)?;
        while service.dynamic_config().number_of_publishers() == 0 {
            std::thread::yield_now();
        }
        Ok(Rx { subscriber, listener, _node: node })
    }

    #[inline]
    fn put(tx: &mut Tx<W>, item: &Words<W>) {
        tx.publisher.send_copy(*item).expect("send_copy");
        if let Some(notifier) = &tx.notifier {
            notifier.notify().expect("notify");
        }
    }

    #[inline]
    fn get(rx: &mut Rx<W>) -> Words<W> {
        let receive = || rx.subscriber.receive().expect("receive").map(|sample| *sample);
        let Some(listener) = &rx.listener else { return until_some(receive) };
        loop {
            if let Some(item) = receive() {
                return item;
            }
            // The time is a safeguard: a notification may come before its sample is looked for.
            listener.timed_wait(|_| {}, Duration::from_millis(100)).expect("timed_wait");
        }
    }
}

fn samples<const W: usize>(
    node: &Node<Service>,
    name: &str,
) -> Result<publish_subscribe::PortFactory<Service, Words<W>, ()>> {
    node.service_builder(&name.try_into().map_err(error)?)
        .publish_subscribe::<Words<W>>()
        .enable_safe_overflow(false)
        .subscriber_max_buffer_size(BUFFER)
        .open_or_create()
        .map_err(error)
}

fn events(node: &Node<Service>, name: &str) -> Result<event::PortFactory<Service>> {
    node.service_builder(&name.try_into().map_err(error)?).event().open_or_create().map_err(error)
}
