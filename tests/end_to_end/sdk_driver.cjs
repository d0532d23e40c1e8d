// Sends a hundred events by one vendor's client: node driver.cjs VENDOR URL KEY
const [vendor, url, key] = process.argv.slice(2)
const numbers = [...Array(100).keys()]
const pause = (ms) => new Promise((done) => setTimeout(done, ms))

const clients = {
  async segment() {
    const { Analytics } = require('@segment/analytics-node')
    const client = new Analytics({ writeKey: key, host: url, flushAt: 7, maxRetries: 20 })
    for (const n of numbers) client.track({ userId: 'u-1', event: 'ordered', properties: { n } })
    await client.closeAndFlush({ timeout: 60000 })
  },
  async posthog() {
    const { PostHog } = require('posthog-node')
    const client = new PostHog(key, { host: url, flushAt: 7, maxBatchSize: 7, fetchRetryCount: 20, fetchRetryDelay: 500 })
    for (const n of numbers) client.capture({ distinctId: 'u-1', event: 'ordered', properties: { n } })
    await client.shutdown(60000)
  },
  async mixpanel() {
    const Mixpanel = require('mixpanel')
    const { hostname, port } = new URL(url)
    const client = Mixpanel.init(key, { host: `${hostname}:${port}`, protocol: 'http' })
    // It retries nothing by itself; the id makes a second time count once.
    const events = numbers.map((n) => ({ event: 'ordered', properties: { distinct_id: 'u-1', n, $insert_id: `n-${n}` } }))
    const send = (batch) =>
      new Promise((done, failed) => client.track_batch(batch, (error) => (error ? failed(error) : done())))
    for (let start = 0; start < 100; start += 7) {
      for (let attempt = 0; ; attempt++) {
        try {
          await send(events.slice(start, start + 7))
          break
        } catch (error) {
          if (attempt > 100) throw error
          await pause(500)
        }
      }
    }
  },
}

clients[vendor]().then(() => process.exit(0), (error) => { console.error(error); process.exit(1) })
