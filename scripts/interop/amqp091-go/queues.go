// What queues do by their arguments: expire, stay short, sort.
package main

import (
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func text(body string) amqp.Publishing { return amqp.Publishing{Body: []byte(body)} }

func expiring(body, milliseconds string) amqp.Publishing {
	return amqp.Publishing{Body: []byte(body), Expiration: milliseconds}
}

func ttl(s *scope) {
	channel := s.confirming()
	queue := s.declare(channel, "queue", amqp.Table{"x-message-ttl": 500})
	sendText(channel, queue, "old")
	equal(depth(channel, queue), 1, "before the queue's TTL")
	time.Sleep(900 * time.Millisecond)
	equal(depth(channel, queue), 0, "after the queue's TTL")
	sendText(channel, queue, "young")
	equal(drain(channel, queue), []string{"young"}, "within the queue's TTL")
	send(channel, "", queue, expiring("sooner", "50")) // the lower of the two counts
	time.Sleep(250 * time.Millisecond)
	isEmpty(channel, queue)

	single := s.declare(channel, "message", nil)
	for _, message := range []amqp.Publishing{
		expiring("expired", "50"), text("stays"), expiring("expired behind", "50"), expiring("stays too", "60000"),
	} {
		send(channel, "", single, message)
	}
	time.Sleep(200 * time.Millisecond)
	equal(drain(channel, single), []string{"stays", "stays too"}, "messages with their own TTL")
	send(channel, "", single, expiring("at once", amqp.ImmediatelyExpire))
	isEmpty(channel, single)

	unused := s.declare(channel, "unused", amqp.Table{"x-expires": 1200})
	for range 2 { // each use starts the time again
		time.Sleep(700 * time.Millisecond)
		isEmpty(channel, unused)
	}
	time.Sleep(1900 * time.Millisecond)
	hasCode(s.exists(unused), 404, "queue after x-expires")

	_, err := s.channel().QueueDeclare(s.queue("invalid"), false, false, false, false, amqp.Table{"x-message-ttl": -1})
	hasCode(err, 406, "negative TTL")
	closedWith(channel, 406, "expiration that is no number", func() {
		check(channel.Publish("", single, false, false, expiring("", "soon")))
	})
}

func maxLength(s *scope) {
	channel := s.confirming()
	head := s.declare(channel, "head", amqp.Table{"x-max-length": 3})
	sendText(channel, head, numbers(0, 5)...)
	equal(drain(channel, head), []string{"2", "3", "4"}, "drop-head")

	reject := s.declare(channel, "reject", amqp.Table{"x-max-length": 2, "x-overflow": "reject-publish"})
	sendText(channel, reject, "0", "1")
	equal(send(channel, "", reject, text("2")), false, "confirm of a message too many")
	equal(drain(channel, reject), []string{"0", "1"}, "reject-publish")
	sendText(channel, reject, "3")

	short := s.declare(channel, "bytes", amqp.Table{"x-max-length-bytes": 100})
	for _, letter := range []string{"a", "b", "c", "d"} {
		sendText(channel, short, strings.Repeat(letter, 40))
	}
	equal(drain(channel, short), []string{strings.Repeat("c", 40), strings.Repeat("d", 40)}, "x-max-length-bytes")
}

func priority(s *scope) {
	channel := s.confirming()
	queue := s.declare(channel, "queue", amqp.Table{"x-max-priority": 5})
	for _, message := range []amqp.Publishing{
		{Priority: 1, Body: []byte("low")}, {Priority: 5, Body: []byte("5a")}, text("none"),
		{Priority: 200, Body: []byte("5b")}, {Priority: 3, Body: []byte("3")}, {Priority: 5, Body: []byte("5c")},
		{Priority: 1, Body: []byte("low too")}, text("none too"),
	} {
		send(channel, "", queue, message)
	}
	expected := []string{"5a", "5b", "5c", "3", "low", "low too", "none", "none too"}
	equal(drain(channel, queue), expected, "order")
}
