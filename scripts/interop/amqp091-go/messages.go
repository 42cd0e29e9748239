// Short forms for what nearly every feature does with queues and messages.
package main

import (
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func (s *scope) declare(channel *amqp.Channel, name string, args amqp.Table) string {
	queue := s.queue(name)
	must(channel.QueueDeclare(queue, false, false, false, false, args))
	return queue
}

// exclusive declares a queue that only this feature's connection uses.
func (s *scope) exclusive(channel *amqp.Channel, name string) string {
	queue := s.queue(name)
	must(channel.QueueDeclare(queue, false, false, true, false, nil))
	return queue
}

// send publishes and says whether the broker confirmed it.
func send(channel *amqp.Channel, exchange, key string, message amqp.Publishing) bool {
	confirmation := must(channel.PublishWithDeferredConfirm(exchange, key, false, false, message))
	return confirmation.Wait()
}

func sendText(channel *amqp.Channel, queue string, bodies ...string) {
	for _, body := range bodies {
		equal(send(channel, "", queue, amqp.Publishing{Body: []byte(body)}), true, "confirm of "+body)
	}
}

func numbers(from, to int) (texts []string) {
	for number := from; number < to; number++ {
		texts = append(texts, strconv.Itoa(number))
	}
	return texts
}

func consume(channel *amqp.Channel, queue, tag string, args amqp.Table) <-chan amqp.Delivery {
	return must(channel.Consume(queue, tag, false, false, false, false, args))
}

func take(from <-chan amqp.Delivery, count int) (deliveries []amqp.Delivery) {
	for range count {
		deliveries = append(deliveries, next(from, "delivery"))
	}
	return deliveries
}

func texts(deliveries []amqp.Delivery) (bodies []string) {
	for _, delivery := range deliveries {
		bodies = append(bodies, string(delivery.Body))
	}
	return bodies
}

func getOne(channel *amqp.Channel, queue string, autoAck bool) amqp.Delivery {
	delivery, found, err := channel.Get(queue, autoAck)
	check(err)
	equal(found, true, "a message in "+queue)
	return delivery
}

func isEmpty(channel *amqp.Channel, queue string) {
	delivery, found, err := channel.Get(queue, true)
	check(err)
	if found {
		failf("%s should be empty, had %q", queue, delivery.Body)
	}
}

func drain(channel *amqp.Channel, queue string) (bodies []string) {
	for {
		delivery, found, err := channel.Get(queue, true)
		check(err)
		if !found {
			return bodies
		}
		bodies = append(bodies, string(delivery.Body))
	}
}

// await gets the message that arrives a moment later, such as a dead letter.
func await(channel *amqp.Channel, queue string) amqp.Delivery {
	for {
		delivery, found, err := channel.Get(queue, true)
		check(err)
		if found {
			return delivery
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func depth(channel *amqp.Channel, queue string) int {
	return must(channel.QueueDeclarePassive(queue, false, false, false, false, nil)).Messages
}

func (s *scope) exists(queue string) error {
	_, err := s.channel().QueueDeclarePassive(queue, false, false, false, false, nil)
	return err
}

// closedWith waits for the broker to close the channel.
func closedWith(channel *amqp.Channel, code int, what string, cause func()) {
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	cause()
	if err := <-closed; err == nil || err.Code != code {
		failf("%s: expected code %d, got %v", what, code, err)
	}
}
