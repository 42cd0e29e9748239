// Getting, consuming, acknowledging.
package main

import (
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

func get(s *scope) {
	channel := s.confirming()
	queue := s.declare(channel, "queue", nil)
	sendText(channel, queue, "0", "1", "2")
	first := getOne(channel, queue, false)
	equal([]any{string(first.Body), first.MessageCount, first.Redelivered}, []any{"0", uint32(2), false}, "first")
	equal([]any{first.Exchange, first.RoutingKey}, []any{"", queue}, "where from")
	check(first.Nack(false, true))
	again := getOne(channel, queue, false)
	equal([]any{string(again.Body), again.Redelivered}, []any{"0", true}, "again")
	check(again.Ack(false))
	equal(string(getOne(channel, queue, true).Body), "1", "without acknowledgement")
	equal(string(getOne(channel, queue, false).Body), "2", "last")
	isEmpty(channel, queue)
	check(channel.Close()) // gives back only what was neither acknowledged nor got without acknowledgement
	last := getOne(s.channel(), queue, false)
	equal([]any{string(last.Body), last.MessageCount, last.Redelivered}, []any{"2", uint32(0), true}, "given back")
}

func prefetch(s *scope) {
	channel := s.confirming()
	queue := s.declare(channel, "consumer", nil)
	sendText(channel, queue, numbers(0, 20)...)
	check(channel.Qos(5, 0, false))
	deliveries := consume(channel, queue, "", nil)
	held := take(deliveries, 5)
	equal(texts(held), numbers(0, 5), "held")
	quiet(deliveries, "beyond the consumer's prefetch count")
	equal(depth(channel, queue), 15, "ready")
	check(held[1].Ack(true))
	equal(texts(take(deliveries, 2)), []string{"5", "6"}, "after two acknowledgements")
	quiet(deliveries, "beyond the consumer's prefetch count again")

	shared := s.confirming()
	queue = s.declare(shared, "channel", nil)
	sendText(shared, queue, numbers(0, 20)...)
	check(shared.Qos(3, 0, true))
	one, two := consume(shared, queue, "one", nil), consume(shared, queue, "two", nil)
	both := make(chan amqp.Delivery)
	for _, deliveries := range []<-chan amqp.Delivery{one, two} {
		go func() {
			for delivery := range deliveries {
				both <- delivery
			}
		}()
	}
	held = take(both, 3)
	quiet(both, "beyond the channel's prefetch count")
	check(held[0].Ack(false))
	take(both, 1)
	quiet(both, "beyond the channel's prefetch count again")
	equal(depth(shared, queue), 16, "ready")
}

func requeue(s *scope) {
	channel := s.confirming()
	queue := s.declare(channel, "queue", nil)
	sendText(channel, queue, numbers(0, 6)...)
	takeBy := func(count int) (deliveries []amqp.Delivery) {
		for range count {
			deliveries = append(deliveries, getOne(channel, queue, false))
		}
		return deliveries
	}
	redelivered := func(deliveries []amqp.Delivery) (flags []bool) {
		for _, delivery := range deliveries {
			flags = append(flags, delivery.Redelivered)
		}
		return flags
	}
	first := takeBy(4)
	check(first[2].Nack(true, true))
	second := takeBy(4) // 0, 1, 2 again, then 4: 3 is still out
	equal(texts(second), []string{"0", "1", "2", "4"}, "after nack of several")
	equal(redelivered(second), []bool{true, true, true, false}, "redelivered")
	check(second[1].Reject(true))
	equal(texts(takeBy(1)), []string{"1"}, "after reject")
	check(channel.Recover(true))
	all := takeBy(6)
	equal(texts(all), numbers(0, 6), "after recover")
	equal(redelivered(all), []bool{true, true, true, true, true, false}, "redelivered")
	check(channel.Nack(0, true, false)) // tag 0: all of them
	isEmpty(channel, queue)
}

func consumerPriority(s *scope) {
	channel, highChannel := s.confirming(), s.channel()
	queue := s.declare(channel, "queue", nil)
	low := consume(s.channel(), queue, "low", amqp.Table{"x-priority": 1})
	check(highChannel.Qos(2, 0, false))
	high := consume(highChannel, queue, "high", amqp.Table{"x-priority": 10})
	sendText(channel, queue, numbers(0, 4)...)
	taken := take(high, 2)
	equal(texts(taken), []string{"0", "1"}, "the higher priority's")
	equal(texts(take(low, 2)), []string{"2", "3"}, "the lower priority's")
	check(taken[1].Ack(true))
	depth(highChannel, queue) // answered after the acknowledgement is processed
	sendText(channel, queue, "4")
	equal(texts(take(high, 1)), []string{"4"}, "the higher priority's, with credit again")
	quiet(low, "for the lower priority")
}

func singleActive(s *scope) {
	channel, activeChannel := s.confirming(), s.channel()
	queue := s.declare(channel, "queue", amqp.Table{"x-single-active-consumer": true})
	active := consume(activeChannel, queue, "active", nil)
	waiting := consume(s.channel(), queue, "waiting", nil)
	sendText(channel, queue, numbers(0, 4)...)
	taken := take(active, 4)
	equal(texts(taken), numbers(0, 4), "the active consumer's")
	quiet(waiting, "for the waiting consumer")
	check(taken[3].Ack(true))
	check(activeChannel.Cancel("active", false))
	sendText(channel, queue, numbers(4, 6)...)
	equal(texts(take(waiting, 2)), numbers(4, 6), "the next consumer's")
}

func exclusive(s *scope) {
	channel := s.confirming()
	owned := s.exclusive(channel, "owned")
	stranger := s.connect(amqp.Config{})
	other := func() *amqp.Channel { return must(stranger.Channel()) }
	_, err := other().Consume(owned, "", false, false, false, false, nil)
	hasCode(err, 405, "consume from another's queue")
	_, err = other().QueueDeclare(owned, false, false, true, false, nil)
	hasCode(err, 405, "declare another's queue")
	_, err = other().QueueDelete(owned, false, false, false)
	hasCode(err, 405, "delete another's queue")

	queue := s.declare(channel, "consumer", nil)
	must(channel.Consume(queue, "alone", false, true, false, false, nil))
	_, err = s.channel().Consume(queue, "", false, false, false, false, nil)
	hasCode(err, 403, "a second consumer beside an exclusive one")
	check(channel.Cancel("alone", false))
	consume(channel, queue, "first", nil)
	_, err = s.channel().Consume(queue, "", false, true, false, false, nil)
	hasCode(err, 403, "an exclusive consumer beside another")

	shortLived := s.queue("autodelete")
	must(channel.QueueDeclare(shortLived, false, true, false, false, nil))
	consume(channel, shortLived, "one", nil)
	consume(channel, shortLived, "two", nil)
	check(channel.Cancel("one", false))
	check(s.exists(shortLived))
	check(channel.Cancel("two", false))
	hasCode(s.exists(shortLived), 404, "auto-delete queue after its last consumer")

	gone := s.queue("gone")
	must(other().QueueDeclare(gone, false, false, true, false, nil))
	check(stranger.Close())
	hasCode(s.exists(gone), 404, "exclusive queue after its connection")
}

func cancelNotify(s *scope) {
	channel := s.channel()
	queue := s.declare(channel, "queue", nil)
	deliveries := consume(channel, queue, "watcher", nil)
	cancelled := channel.NotifyCancel(make(chan string, 1))
	must(s.channel().QueueDelete(queue, false, false, false))
	equal(next(cancelled, "cancel notification"), "watcher", "cancelled consumer")
	_, open := <-deliveries
	equal(open, false, "deliveries open")
	must(channel.QueueDeclare("", false, false, true, false, nil)) // the channel lives on
}

func directReplyTo(s *scope) {
	const replyTo = "amq.rabbitmq.reply-to"
	server := s.channel()
	queue := s.declare(server, "requests", nil)
	requests := must(server.Consume(queue, "", true, false, false, false, nil))
	client := must(s.connect(amqp.Config{}).Channel())
	replies := must(client.Consume(replyTo, "", true, false, false, false, nil))
	request := amqp.Publishing{ReplyTo: replyTo, CorrelationId: "c-1", Body: []byte("ping")}
	check(client.Publish("", queue, false, false, request))

	received := next(requests, "request")
	equal(strings.HasPrefix(received.ReplyTo, replyTo+"."), true, "rewritten reply-to "+received.ReplyTo)
	check(s.exists(received.ReplyTo)) // tells a server whether its client is still there
	answer := amqp.Publishing{CorrelationId: received.CorrelationId, Body: []byte("pong")}
	check(server.Publish("", received.ReplyTo, false, false, answer))
	reply := next(replies, "reply")
	equal([]any{string(reply.Body), reply.CorrelationId, reply.Exchange}, []any{"pong", "c-1", ""}, "reply")
	check(client.Close())
	hasCode(s.exists(received.ReplyTo), 404, "reply-to of a client that left")

	careless := s.channel()
	closedWith(careless, 406, "request of a client that does not consume replies", func() {
		check(careless.Publish("", queue, false, false, request))
	})
	_, err := s.channel().Consume(replyTo, "", false, false, false, false, nil)
	hasCode(err, 406, "replies with acknowledgement")
}
