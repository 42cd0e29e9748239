// Confirms, transactions, returns, properties, bodies of every size.
package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	frameOverhead   = 8
	messageBytesMax = 16 << 20
)

func confirms(s *scope) {
	channel := s.confirming()
	queue := s.queue("queue")
	must(channel.QueueDeclare(queue, true, false, false, false, nil))
	var unconfirmed []*amqp.DeferredConfirmation
	for number := range messages {
		message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(strconv.Itoa(number))}
		unconfirmed = append(unconfirmed, must(channel.PublishWithDeferredConfirm("", queue, false, false, message)))
	}
	for _, confirmation := range unconfirmed {
		equal(confirmation.Wait(), true, "confirm")
	}
	check(channel.Qos(200, 0, false))
	deliveries := consume(channel, queue, "", nil)
	for number := range messages {
		delivery := next(deliveries, "delivery")
		if string(delivery.Body) != strconv.Itoa(number) || delivery.Redelivered {
			failf("expected %d, got %q, redelivered %v", number, delivery.Body, delivery.Redelivered)
		}
		if number%100 == 99 || number == messages-1 {
			check(delivery.Ack(true))
		}
	}
	check(channel.Close()) // what was not acknowledged would be back now
	equal(must(s.channel().QueueDelete(queue, false, false, false)), 0, "messages left")
}

func tx(s *scope) {
	watching, channel := s.channel(), s.channel()
	queue := s.declare(watching, "queue", nil)
	publish := func(text string) {
		check(channel.Publish("", queue, false, false, amqp.Publishing{Body: []byte(text)}))
	}
	check(channel.Tx())
	publish("a")
	publish("b")
	equal(depth(watching, queue), 0, "before the commit")
	check(channel.TxCommit())
	equal(depth(watching, queue), 2, "after the commit")
	publish("never")
	check(channel.TxRollback())
	check(channel.TxCommit())
	equal(depth(watching, queue), 2, "after a rollback")

	delivery := getOne(channel, queue, false)
	check(delivery.Ack(false))
	check(channel.TxRollback())
	check(delivery.Ack(false)) // the rollback took the first acknowledgement back
	check(channel.TxCommit())
	delivery = getOne(channel, queue, false)
	check(delivery.Ack(false))
	check(channel.Close()) // without a commit
	equal(string(getOne(watching, queue, true).Body), "b", "the message whose acknowledgement was not committed")
	isEmpty(watching, queue)

	hasCode(s.channel().TxCommit(), 406, "commit on a channel without transactions")
	hasCode(s.confirming().Tx(), 406, "transactions on a channel with confirms")
	channel = s.channel()
	check(channel.Tx())
	hasCode(channel.Confirm(false), 406, "confirms on a channel with transactions")
}

func returns(s *scope) {
	channel := s.confirming()
	exchange := s.declareExchange(channel, "exchange", "direct", nil)
	returned := channel.NotifyReturn(make(chan amqp.Return, 1))
	message := amqp.Publishing{
		MessageId: "m-1", Headers: amqp.Table{"number": int32(1)}, DeliveryMode: amqp.Persistent, Body: []byte("back"),
	}
	confirmation := must(channel.PublishWithDeferredConfirm(exchange, "unbound", true, false, message))
	equal(confirmation.Wait(), true, "confirm")
	equal(len(returned), 1, "returns before the confirm")
	back := <-returned
	equal([]any{back.ReplyCode, back.ReplyText, back.Exchange, back.RoutingKey},
		[]any{uint16(312), "NO_ROUTE", exchange, "unbound"}, "return")
	equal([]any{back.MessageId, back.Headers, back.DeliveryMode, string(back.Body)},
		[]any{"m-1", message.Headers, amqp.Persistent, "back"}, "returned message")
}

func ccBcc(s *scope) {
	channel := s.confirming()
	to, cc, bcc := s.declare(channel, "to", nil), s.declare(channel, "cc", nil), s.declare(channel, "bcc", nil)
	headers := amqp.Table{"CC": []any{cc, to}, "BCC": []any{bcc}}
	equal(send(channel, "", to, amqp.Publishing{Headers: headers, Body: []byte("all")}), true, "confirm")
	for _, queue := range []string{to, cc, bcc} {
		delivery := getOne(channel, queue, true)
		equal(delivery.Headers, amqp.Table{"CC": headers["CC"]}, "headers in "+queue)
		equal(delivery.RoutingKey, to, "routing key")
		isEmpty(channel, queue) // one copy
	}
	closedWith(channel, 406, "CC that is no list", func() {
		check(channel.Publish("", to, false, false, amqp.Publishing{Headers: amqp.Table{"CC": "text"}}))
	})
}

func userID(s *scope) {
	channel := s.confirming()
	queue := s.declare(channel, "queue", nil)
	equal(send(channel, "", queue, amqp.Publishing{UserId: user}), true, "confirm")
	equal(getOne(channel, queue, true).UserId, user, "user id")
	closedWith(channel, 406, "another's user id", func() {
		check(channel.Publish("", queue, false, false, amqp.Publishing{UserId: "someone-else"}))
	})
	equal(depth(s.channel(), queue), 0, "messages")
}

func properties(s *scope) {
	channel := s.confirming()
	queue := s.declare(channel, "queue", nil)
	sent := amqp.Publishing{
		Headers: amqp.Table{
			"string": "héllo", "empty": "", "int8": int8(-8), "uint8": byte(200), "int16": int16(-30000),
			"uint16": uint16(60000), "int32": int32(-1 << 31), "uint32": uint32(1<<32 - 1), "int64": int64(-1 << 63),
			"float": float32(0.5), "double": 1.0 / 3, "decimal": amqp.Decimal{Scale: 2, Value: 314},
			"timestamp": time.Unix(1700000000, 0), "yes": true, "no": false, "none": nil, "bytes": []byte{0, 1, 255},
			"list":  []any{int32(1), "two", []any{int32(3)}, amqp.Table{"four": int32(4)}},
			"table": amqp.Table{"deep": amqp.Table{"deeper": "still"}},
		},
		ContentType: "application/x-test", ContentEncoding: "gzip", DeliveryMode: amqp.Persistent, Priority: 9,
		CorrelationId: "c-1", ReplyTo: "r", Expiration: "600000", MessageId: "m-1", Timestamp: time.Unix(1700000000, 0),
		Type: "t", UserId: user, AppId: "interop", Body: []byte("body"),
	}
	equal(send(channel, "", queue, sent), true, "confirm")
	got := getOne(channel, queue, true)
	for name, value := range sent.Headers {
		equal(got.Headers[name], value, name)
	}
	// The library knows thirteen of the fourteen; it cannot send cluster-id.
	equal(amqp.Publishing{
		Headers: got.Headers, ContentType: got.ContentType, ContentEncoding: got.ContentEncoding,
		DeliveryMode: got.DeliveryMode, Priority: got.Priority, CorrelationId: got.CorrelationId, ReplyTo: got.ReplyTo,
		Expiration: got.Expiration, MessageId: got.MessageId, Timestamp: got.Timestamp, Type: got.Type,
		UserId: got.UserId, AppId: got.AppId, Body: got.Body,
	}, sent, "message")
}

func large(s *scope) {
	channel := s.confirming()
	queue := s.declare(channel, "queue", nil)
	frameMax := s.connection.Config.FrameSize
	frame := frameMax - frameOverhead
	for _, size := range []int{0, 1, frame - 1, frame, frame + 1, frameMax - 1, frameMax + 1, 1 << 20, messageBytesMax} {
		body := make([]byte, size)
		must(rand.Read(body))
		equal(send(channel, "", queue, amqp.Publishing{Body: body}), true, "confirm")
		if !bytes.Equal(getOne(channel, queue, true).Body, body) {
			failf("a body of %d bytes differs", size)
		}
	}
	closedWith(channel, 406, fmt.Sprint(messageBytesMax+1, " bytes"), func() {
		_ = channel.Publish("", queue, false, false, amqp.Publishing{Body: make([]byte, messageBytesMax+1)})
	})
	equal(depth(s.channel(), queue), 0, "messages")
}
