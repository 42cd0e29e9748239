// Handshake, errors, many channels, heartbeats and a restart of the broker.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const manyChannels = 500

func handshake(s *scope) {
	_, err := dial(amqp.Config{}, "wrong")
	hasCode(err, 403, "wrong password")
	amqplain := []amqp.Authentication{&amqp.AMQPlainAuth{Username: user, Password: password}}
	check(s.connect(amqp.Config{SASL: amqplain}).Close())
	capabilities := s.connection.Properties["capabilities"].(amqp.Table)
	for _, name := range []string{
		"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked",
		"consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to",
	} {
		equal(capabilities[name], true, name)
	}
	equal(s.connection.Config.Heartbeat, 20*time.Second, "negotiated heartbeat")
	check(s.connection.UpdateSecret(password, "renewed"))
}

func channelAndConnectionErrors(s *scope) {
	const missing = "interop.go.missing"
	owner := s.channel()
	queue := s.exclusive(owner, "queue")
	shared := s.declare(owner, "shared", nil)
	// Each call closes its channel with the code; the next one proves that the connection lives on.
	refused := func(code int, what string, call func(*amqp.Channel) error) {
		hasCode(call(s.channel()), code, what)
	}
	declare := func(name string, durable bool, args amqp.Table) func(*amqp.Channel) error {
		return func(channel *amqp.Channel) error {
			_, err := channel.QueueDeclare(name, durable, false, false, false, args)
			return err
		}
	}
	hasCode(s.exists(missing), 404, "missing queue")
	refused(404, "missing exchange", func(channel *amqp.Channel) error {
		return channel.ExchangeDeclarePassive(missing, "direct", true, false, false, false, nil)
	})
	refused(404, "bind to a missing exchange", func(channel *amqp.Channel) error {
		return channel.QueueBind(queue, "key", missing, false, nil)
	})
	refused(404, "consume from a missing queue", func(channel *amqp.Channel) error {
		_, err := channel.Consume(missing, "", false, false, false, false, nil)
		return err
	})
	refused(404, "get from a missing queue", func(channel *amqp.Channel) error {
		_, _, err := channel.Get(missing, false)
		return err
	})
	refused(403, "reserved queue name", declare("amq.interop", true, nil))
	refused(403, "reserved exchange name", func(channel *amqp.Channel) error {
		return channel.ExchangeDeclare("amq.interop", "direct", true, false, false, false, nil)
	})
	refused(403, "delete of amq.direct", func(channel *amqp.Channel) error {
		return channel.ExchangeDelete("amq.direct", false, false)
	})
	refused(403, "bind to the default exchange", func(channel *amqp.Channel) error {
		return channel.QueueBind(queue, "key", "", false, nil)
	})
	refused(406, "other durability", declare(shared, true, nil))
	refused(406, "other arguments", declare(shared, false, amqp.Table{"x-message-ttl": 1000}))
	refused(406, "other exchange type", func(channel *amqp.Channel) error {
		return channel.ExchangeDeclare("amq.direct", "fanout", true, false, false, false, nil)
	})
	stranger := must(s.connect(amqp.Config{}).Channel())
	_, err := stranger.QueueDeclarePassive(queue, false, false, true, false, nil)
	hasCode(err, 405, "another's exclusive queue")

	channel := s.channel()
	closedWith(channel, 404, "publish to a missing exchange", func() {
		check(channel.Publish(missing, "key", false, false, amqp.Publishing{}))
	})
	channel = s.channel()
	closedWith(channel, 406, "unknown delivery tag", func() { check(channel.Ack(7, false)) })
	channel = s.confirming()
	sendText(channel, queue, "once")
	delivery := getOne(channel, queue, false)
	closedWith(channel, 406, "acknowledged twice", func() {
		check(delivery.Ack(false))
		_ = delivery.Ack(false) // the close may have come already
	})
	connectionErrors(s, missing)
}

func connectionErrors(s *scope, missing string) {
	_, err := dial(amqp.Config{Vhost: missing}, password)
	hasCode(err, 530, "missing virtual host")
	closes := func(code int, what string, call func(*amqp.Channel)) {
		connection := s.connect(amqp.Config{})
		closed := connection.NotifyClose(make(chan *amqp.Error, 1))
		call(must(connection.Channel()))
		hasCode(errors.Join(<-closed), code, what)
	}
	closes(530, "consumer tag used twice", func(channel *amqp.Channel) {
		queue := must(channel.QueueDeclare("", false, false, true, false, nil)).Name
		consume(channel, queue, "twice", nil)
		_, _ = channel.Consume(queue, "twice", false, false, false, false, nil)
	})
	closes(540, "immediate", func(channel *amqp.Channel) {
		check(channel.Publish("", missing, false, true, amqp.Publishing{}))
	})
	closes(540, "recover without requeue", func(channel *amqp.Channel) { _ = channel.Recover(false) })
	closes(540, "flow off", func(channel *amqp.Channel) { _ = channel.Flow(false) })
	unknownType := func(channel *amqp.Channel) error {
		return channel.ExchangeDeclare(missing, "x-unknown", true, false, false, false, nil)
	}
	if onRabbitMQ3("an unknown exchange type closes the connection with 503 before RabbitMQ 4") {
		closes(503, "unknown exchange type", func(channel *amqp.Channel) { _ = unknownType(channel) })
	} else {
		hasCode(unknownType(s.channel()), 406, "unknown exchange type")
	}
}

func channels500(s *scope) {
	var channels []*amqp.Channel
	for range manyChannels {
		channels = append(channels, s.confirming())
	}
	failures := make(chan string, manyChannels)
	var all sync.WaitGroup
	for number, channel := range channels {
		all.Go(func() {
			failures <- within(deadline, func() {
				queue := must(channel.QueueDeclare("", false, false, true, false, nil)).Name
				deliveries := consume(channel, queue, "", nil)
				sendText(channel, queue, strconv.Itoa(number))
				delivery := next(deliveries, "delivery")
				equal(string(delivery.Body), strconv.Itoa(number), "body")
				check(delivery.Ack(false))
				check(channel.Close())
			})
		})
	}
	all.Wait()
	close(failures)
	for reason := range failures {
		equal(reason, "", "a channel's failure")
	}
}

func heartbeat(s *scope) {
	connection := s.connect(amqp.Config{Heartbeat: time.Second})
	select {
	case err := <-connection.NotifyClose(make(chan *amqp.Error, 1)):
		failf("closed while idle: %v", err)
	case <-time.After(time.Duration(idle) * time.Second):
	}
	check(must(connection.Channel()).Close())
}

func restart(s *scope) {
	exchange, queue, transient := s.exchange("exchange"), s.queue("queue"), s.queue("transient")
	consumed := s.queue("consumed")
	setup := s.confirming()
	check(setup.ExchangeDeclare(exchange, "topic", true, false, false, false, nil))
	must(setup.QueueDeclare(queue, true, false, false, false, nil))
	must(setup.QueueDeclare(consumed, true, false, false, false, nil))
	must(setup.QueueDeclare(transient, false, false, false, false, nil))
	check(setup.QueueBind(queue, "stock.#", exchange, false, nil))
	message := func(mode uint8, text string) amqp.Publishing {
		return amqp.Publishing{DeliveryMode: mode, Body: []byte(text)}
	}
	send(setup, exchange, "stock.a", message(amqp.Persistent, "persistent"))
	send(setup, exchange, "stock.b", message(amqp.Transient, "transient"))

	recovering := s.connect(amqp.Config{Recovery: &amqp.Recovery{
		ReconnectionConfig: &amqp.ReconnectionConfig{MaxRetryCount: 200, RetryInterval: 100 * time.Millisecond},
	}})
	states := make(chan *amqp.StateChanged, 10)
	recovering.NotifyStateChange(states)
	channel := must(recovering.Channel())
	deliveries := consume(channel, consumed, "survivor", nil)
	command := exec.Command("bash", "-c", os.Getenv("INTEROP_RESTART"))
	if err := command.Run(); err != nil {
		failf("INTEROP_RESTART: %v", err)
	}
	for next(states, "state").To != amqp.StateOpen {
	}

	s.connection = s.connect(amqp.Config{})
	after := s.confirming()
	equal(drain(after, queue), []string{"persistent"}, "messages after the restart")
	send(after, exchange, "stock.c", message(amqp.Persistent, "bound still"))
	equal(drain(after, queue), []string{"bound still"}, "messages by the durable binding")
	hasCode(s.exists(transient), 404, "transient queue")
	check(channel.Publish("", consumed, false, false, message(amqp.Persistent, "by the recovered consumer")))
	equal(fmt.Sprintf("%s", next(deliveries, "delivery").Body), "by the recovered consumer", "recovered consumer")
}
